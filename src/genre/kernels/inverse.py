"""The inverse of a symmetric positive definite matrix by LAPACK (Cholesky), while other threads go on.

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

from genre.arrays import Float32, Int64

SAMPLE = 1024  # rows of the matrix by which the speed of the machine is measured


def invert(matrix: Float32) -> bool:
    """Replace a symmetric matrix by its inverse.

    Args:
        matrix: `[n, n]`, contiguous; afterwards its upper triangle (row <= column) is that of the inverse.

    Returns:
        False where the matrix is not positive definite in single precision; it is of no use then.
    """
    return _call("spotrf", matrix) == 0 and _call("spotri", matrix) == 0


def columns_of_inverse(matrix: Float32, which: Int64) -> Float32 | None:
    """Return some columns of the inverse of a symmetric matrix: for few of them half the work of `invert`.

    Args:
        matrix: `[n, n]`, contiguous, of which the upper triangle is read; overwritten.
        which: The columns `[k]`.

    Returns:
        The columns `[k, n]`; None where the matrix is not positive definite in single precision.
    """
    if _call("spotrf", matrix) != 0:
        return None
    columns = np.zeros((len(which), len(matrix)), np.float32)
    columns[np.arange(len(which)), which] = 1
    return columns if _call("spotrs", matrix, columns) == 0 else None


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


def _call(name: str, *matrices: Float32) -> int:
    """Call a routine of LAPACK on a square matrix, and one of right sides as rows; return its `info`, 0 for success."""
    size, info = ctypes.byref(ctypes.c_int(matrices[0].shape[1])), ctypes.c_int()
    sizes = [ctypes.byref(ctypes.c_int(len(matrix))) for matrix in matrices]
    sides = [part for matrix in matrices for part in (matrix.ctypes.data, size)]
    # LAPACK reads columns first: the upper triangle of `matrix` is the lower one to it, and rows are columns
    _routine(name)(b"L", *sizes, *sides, ctypes.byref(info))
    return info.value


@functools.cache
def _routine(name: str) -> Any:
    integer: Any = ctypes.POINTER(ctypes.c_int)
    sizes = [integer] * (1 + (name == "spotrs"))
    sides = [ctypes.c_void_p, integer] * len(sizes)
    form = ctypes.CFUNCTYPE(None, ctypes.c_char_p, *sizes, *sides, integer)
    return form(get_cython_function_address("scipy.linalg.cython_lapack", name))
