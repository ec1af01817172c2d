"""How many threads work at once: on slices of rows in compiled kernels, and inside the products of NumPy and SciPy.

The number of threads never changes a result: a slice holds whole rows, and every row is computed as it would be alone.
Products of small matrices are slower with several threads (these wait for each other in a loop that takes CPU), so BLAS
gets one, except where a caller says that its matrices are large. Does not know what is computed.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

T = TypeVar("T")

SLICES_A_THREAD = 4
"""Slices that a thread works on, one after the other, so that all threads end at about the same time."""

_LIMIT: ContextVar[int | None] = ContextVar("threads", default=None)


def n_threads() -> int:
    """Return how many threads may work at once.

    Returns:
        What `limit_threads` set, else the environment variable `OMP_NUM_THREADS`, which other numerical libraries read,
        too, else the number of cores that this process may use.
    """
    if limit := _LIMIT.get():
        return limit
    if (given := os.environ.get("OMP_NUM_THREADS", "")).isdecimal() and int(given) > 0:
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def limit_threads(threads: int | None) -> Iterator[None]:
    """Set how many threads may work at once during the block.

    Args:
        threads: Their number; None leaves it as it is.
    """
    token = _LIMIT.set(threads or _LIMIT.get())
    try:
        yield
    finally:
        _LIMIT.reset(token)


def map_slices(work: Callable[[slice], T], n: int, *, least: int, multiple: int = 1) -> list[T]:
    """Call a function on consecutive slices of `n` rows, on all threads.

    Args:
        work: Gets a slice of rows; spends its time in code that releases Python's lock.
        n: Number of rows.
        least: Rows that are worth a slice of their own.
        multiple: Every slice but the last holds a multiple of so many rows.

    Returns:
        The results, in the order of the slices.
    """
    if n < 2 * least or (threads := n_threads()) == 1:
        return [work(slice(0, n))]
    size = max(least, -(-n // (SLICES_A_THREAD * threads)))
    size = -(-size // multiple) * multiple

    def alone(start: int) -> T:
        with limit_threads(1):
            return work(slice(start, min(start + size, n)))

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(alone, range(0, n, size)))


@contextmanager
def blas_threads(threads: int = 1) -> Iterator[None]:
    """Set how many threads the products and decompositions of NumPy and SciPy use during the block.

    BLAS has one number for the whole process. Of blocks that are open at the same time, in any threads, the last one
    that was opened decides.

    Args:
        threads: Their number; one for many small products, `n_threads()` for a few large ones.
    """
    blas = _blas()
    mine = blas.open(threads)
    try:
        yield
    finally:
        blas.close(mine)


class _BLAS:
    """The BLAS libraries of this process, and the blocks of `blas_threads` that are open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: list[tuple[int, object]] = []
        self._found: dict[bool, ThreadpoolController] = {}
        self._before: Any = None

    def open(self, threads: int) -> tuple[int, object]:
        """Apply a number; what was there before the first block is remembered."""
        mine = threads, object()
        with self._lock:
            limit = self._libraries().limit(limits=threads, user_api="blas")
            if not self._open:
                self._before = limit
            self._open.append(mine)
        return mine

    def close(self, mine: tuple[int, object]) -> None:
        """Apply the number of the last block that is still open, or what was there before the first."""
        with self._lock:
            self._open.remove(mine)
            if self._open:
                self._libraries().limit(limits=self._open[-1][0], user_api="blas")
            else:
                self._before.restore_original_limits()

    def _libraries(self) -> ThreadpoolController:
        """Find the libraries; that takes milliseconds, so it is done once, and again when SciPy has brought its own."""
        key = "scipy.linalg" in sys.modules
        if key not in self._found:
            from threadpoolctl import ThreadpoolController

            self._found[key] = ThreadpoolController()
        return self._found[key]


@lru_cache
def _blas() -> _BLAS:
    return _BLAS()
