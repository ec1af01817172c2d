"""A first compilation is announced, once; what is compiled already is not."""

from __future__ import annotations

import subprocess
import sys
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


def test_one_list_loads_no_compiler_and_a_warm_process_has_it() -> None:
    """In a process of its own, since the tests have loaded it."""
    code = (
        "import numpy as np\nfrom genre.kernels.compiled import compiler_is_loaded, load_compiler\n"
        "from genre.recommenders.topk import top_k_factors\n"
        "item, _ = top_k_factors(np.eye(3, dtype=np.float32)[:1], np.eye(3, dtype=np.float32), 2)\n"
        "assert item.tolist() == [[0, 1]]\nassert not compiler_is_loaded()\n"
        "load_compiler()\nassert compiler_is_loaded()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
