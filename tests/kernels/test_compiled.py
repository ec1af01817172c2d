"""A first compilation is announced, once; what is compiled already is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from genre.kernels.compiled import COMPILING, announced


def test_the_first_compilation_is_announced_once() -> None:
    def twice(x: Any) -> Any:
        return 2 * x

    lines: list[str] = []
    kernel: Callable[[Any], Any] = numba.njit(twice)
    with announced(lines.append):
        assert kernel(np.int32(2)) == 4
        assert kernel(np.int64(2)) == 4
    assert lines == [COMPILING]
    with announced(lines.append):
        kernel(np.int32(3))
    kernel(np.float32(1))
    assert lines == [COMPILING]
