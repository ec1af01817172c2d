"""How a kernel is compiled."""

from __future__ import annotations

from typing import Any

import numba
import pytest

from genre.kernels.compiled import compiled


def test_compiles_where_nothing_can_be_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    real, options_of_calls = numba.njit, []

    def read_only(**options: Any) -> Any:
        options_of_calls.append(options)
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return real(**options)

    monkeypatch.setattr(numba, "njit", read_only)

    def double(x: int) -> int:
        return 2 * x

    assert compiled(double)(4) == 8
    assert len(options_of_calls) == 2
