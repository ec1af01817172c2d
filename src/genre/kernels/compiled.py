"""The one way a kernel is compiled: numba, without Python's lock, the machine code kept on disk where possible.

A kernel is a function over arrays that numba turns into machine code the first time it is called with some types.
Import a module of kernels inside the function that first needs it: importing numba costs half a second. Each kernel
is compared with a plain version, in NumPy or pure Python, in `tests/kernels/`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., object])

COMPILING = "Compiling loops for this processor: once, some seconds of CPU; the machine code is kept."

FAST_MATH = {"reassoc", "contract", "nsz"}
"""What the compiler may assume of floats: sums may be reordered (so that they become vector instructions), a product
and a sum may become one instruction, and the sign of zero does not matter. NaN and infinity keep their meaning."""


def compiled(function: F) -> F:
    """Compile a function on its first call, for the types it is called with.

    The compiled function releases Python's global lock, so that several threads can run it at once. The machine code is
    kept beside the source, or in the user's cache folder (the environment variable `NUMBA_CACHE_DIR` names another);
    where neither can be written, as in a read-only container, each process compiles anew.

    Args:
        function: Takes and returns arrays and numbers only.

    Returns:
        A function of the same signature.
    """
    return _jit(function)


def compiled_part(function: F) -> F:
    """Compile a function that only kernels call, on its first call inside one of them.

    As `compiled`, without what Python needs to call it: to turn objects into arrays and back is often more code than a
    small loop. Called from Python it would jump to address 0.

    Args:
        function: Takes and returns arrays and numbers only.

    Returns:
        A function of the same signature, for kernels alone.
    """
    return _jit(function, no_cpython_wrapper=True)


def _jit(function: F, **options: bool) -> F:
    """Compile with these options of numba; no kernel is called from C, so none gets what that would need."""
    import numba

    njit: Any = numba.njit  # its types know no options about wrappers
    options = {"nogil": True, "no_cfunc_wrapper": True, **options}
    try:
        return cast(F, njit(cache=True, fastmath=FAST_MATH, **options)(function))
    except RuntimeError:  # numba found no folder to write to
        return cast(F, njit(fastmath=FAST_MATH, **options)(function))


def compiler_is_loaded() -> bool:
    """Tell whether this process has loaded the compiler, which takes half a second.

    Returns:
        True where a kernel costs no more than its work.
    """
    return "numba" in sys.modules


def load_compiler() -> None:
    """Load the compiler, so that from here on kernels are used for few numbers, too."""
    importlib.import_module("numba")


@contextmanager
def announced(show: Callable[[str], None]) -> Iterator[None]:
    """Say in one line that kernels are compiled, when the first one is, during the block.

    Args:
        show: Shows a line.
    """
    from numba.core import event

    class Announce(event.Listener):
        """Shows the line before the first compilation; loading kept machine code is none."""

        waits = True

        def on_start(self, event: object) -> None:
            del event
            if self.waits:
                self.waits = False
                show(COMPILING)

        def on_end(self, event: object) -> None:
            pass

    listener = Announce()
    event.register("numba:compile", listener)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        event.unregister("numba:compile", listener)  # type: ignore[no-untyped-call]
