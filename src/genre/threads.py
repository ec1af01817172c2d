"""How many threads work at once: on slices of rows in compiled kernels, and inside the products of NumPy and SciPy.

The number of threads never changes a result: a slice holds whole rows, and every row is computed as it would be alone.
Products of small matrices are slower with several threads (these wait for each other in a loop that takes CPU), so BLAS
gets one, except where a caller says that its matrices are large. Does not know what is computed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

T = TypeVar("T")

SLICES_A_THREAD = 4
"""Slices that a thread works on, one after the other, so that all threads end at about the same time."""

_LIMIT: ContextVar[int | None] = ContextVar("threads", default=None)


def n_threads() -> int:
    """Return how many threads may work at once.

    Returns:
        What `limit_threads` set, else the number of cores that this process may use.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return _LIMIT.get() or cores


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
    threads = n_threads()
    if threads == 1 or n < 2 * least:
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
    """Set how many threads the products and decompositions of NumPy and SciPy use during the block, in all threads.

    Args:
        threads: Their number; one for many small products, `n_threads()` for a few large ones.
    """
    with _blas("scipy.linalg" in sys.modules).limit(limits=threads, user_api="blas"):
        yield


@lru_cache
def _blas(scipy_is_loaded: bool) -> ThreadpoolController:  # noqa: FBT001 - a key: SciPy brings a BLAS of its own
    """Return the BLAS libraries in this process; looking for them takes milliseconds, so they are found once."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
