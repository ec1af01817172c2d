"""The one way a kernel is compiled here: numba, lock-free, kept on disk where there is a place to write.

Import a module of kernels inside the function that first needs it: numba costs half a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

F = TypeVar("F", bound=Callable[..., object])

LOOSE = {"reassoc", "contract", "nsz"}  # sums may be vectorised; NaN and infinity keep their meaning


def compiled(function: F) -> F:
    """Compile on first call for the types it is called with; without Python's lock, so that threads run it at once.

    The machine code is kept beside the source, or in the user's cache folder (`NUMBA_CACHE_DIR` names another);
    where neither can be written (a read-only container) every process compiles for itself.
    """
    import numba

    try:
        return cast(F, numba.njit(nogil=True, cache=True, fastmath=LOOSE)(function))
    except RuntimeError:  # numba found no folder to write to
        return cast(F, numba.njit(nogil=True, fastmath=LOOSE)(function))
