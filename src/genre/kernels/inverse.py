"""The inverse of a symmetric positive definite matrix, in place, by LAPACK (Cholesky), while other threads go on.

SciPy's own wrappers hold Python's lock for the whole call, minutes for a large matrix: then no progress can be shown
and no request answered. Through ctypes the same routines run without it. Knows nothing about recommenders.
"""

from __future__ import annotations

import ctypes
import functools
import time
from typing import Any

import numpy as np
from numba.extending import get_cython_function_address

from genre.arrays import Float32

SAMPLE = 1024  # rows of the matrix by which the speed of the machine is measured


def invert(matrix: Float32) -> bool:
    """Replace a symmetric matrix by its inverse.

    Args:
        matrix: `[n, n]`, contiguous; afterwards its upper triangle (row <= column) is that of the inverse.

    Returns:
        False where the matrix is not positive definite in single precision; it is of no use then.
    """
    return _call("spotrf", matrix) == 0 and _call("spotri", matrix) == 0


def expected_seconds(n: int) -> float:
    """Estimate how long `invert` takes, from a small matrix and the cube of its size.

    Args:
        n: Rows of the matrix.

    Returns:
        Wall seconds with the threads that BLAS has now.
    """
    seconds = []
    for _ in range(3):  # the first one wakes the threads
        small = np.eye(SAMPLE, dtype=np.float32)
        begun = time.perf_counter()
        invert(small)
        seconds.append(time.perf_counter() - begun)
    return float(min(seconds) * (n / SAMPLE) ** 3)


def _call(name: str, matrix: Float32) -> int:
    """Call a routine of LAPACK on a matrix; return its `info`, 0 where it succeeded."""
    size, info = ctypes.c_int(len(matrix)), ctypes.c_int()
    # LAPACK reads columns first: the upper triangle of `matrix` is the lower one to it
    _routine(name)(b"L", ctypes.byref(size), matrix.ctypes.data, ctypes.byref(size), ctypes.byref(info))
    return info.value


@functools.cache
def _routine(name: str) -> Any:
    integer = ctypes.POINTER(ctypes.c_int)
    form = ctypes.CFUNCTYPE(None, ctypes.c_char_p, integer, ctypes.c_void_p, integer, integer)
    return form(get_cython_function_address("scipy.linalg.cython_lapack", name))
