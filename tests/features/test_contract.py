"""Every built-in encoder passes the public contract suite."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from genre.features.base import Encoder
from genre.features.tfidf import TfIdf
from genre.features.vectors import Vectors
from genre.kinds import KINDS
from genre.testing import check_encoder


@pytest.mark.parametrize("kind", KINDS["features"])
def test_contract(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "vectors.npz"
    np.savez(file, ids=[f"i{item}" for item in range(10)], vectors=np.random.default_rng(0).normal(size=(10, 3)))
    options = {"vectors": {"path": file}, "concat": {"parts": (TfIdf(), Vectors(file)), "weights": (3.0, 1.0)}}
    module, name = KINDS["features"][kind].split(":")

    def make() -> Encoder:
        made = getattr(importlib.import_module(module), name)(**options.get(kind, {}))
        assert isinstance(made, Encoder)
        return made

    check_encoder(make)
