"""Write a fitted recommender to a folder of plain files and read it back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from genre import storage
from genre.data.ids import Ids


def _flatten(state: dict[str, Any]) -> tuple[storage.Tensors, dict[str, Any]]:
    """Learnt values -> (arrays for safetensors, plain values for JSON)."""
    tensors: storage.Tensors = {}
    plain: dict[str, Any] = {}
    for name, value in state.items():
        if isinstance(value, np.ndarray):
            tensors[name] = value
        elif isinstance(value, dict):
            plain[name] = {"arrays": list(value)}
            tensors.update({f"{name}.{key}": array for key, array in value.items()})
        elif sp.issparse(value):
            matrix = sp.csr_matrix(value)
            plain[name] = {"csr": list(matrix.shape)}
            for part in ("data", "indices", "indptr"):
                tensors[f"{name}.{part}"] = getattr(matrix, part)
        elif isinstance(value, (Ids, list)):
            plain[name] = {"ids" if isinstance(value, Ids) else "texts": len(value)}
            joined = [text.encode() for text in (value.values.to_pylist() if isinstance(value, Ids) else value)]
            tensors[f"{name}.bytes"] = np.frombuffer(b"".join(joined), np.uint8)
            tensors[f"{name}.lengths"] = np.array([len(text) for text in joined], np.int64)
        elif isinstance(value, (bool, int, float, str, type(None))):
            plain[name] = {"value": value}
        else:
            raise TypeError(f"{name}: a learnt value of type {type(value).__name__} cannot be saved as plain files")
    return tensors, plain


def _unflatten(tensors: storage.Tensors, plain: dict[str, Any]) -> dict[str, Any]:
    state: dict[str, Any] = {name: array for name, array in tensors.items() if "." not in name}
    for name, value in plain.items():
        if "csr" in value:
            parts = tuple(tensors[f"{name}.{part}"] for part in ("data", "indices", "indptr"))
            state[name] = sp.csr_matrix(parts, shape=tuple(value["csr"]))
        elif "arrays" in value:
            state[name] = {key: tensors[f"{name}.{key}"] for key in value["arrays"]}
        elif "ids" in value or "texts" in value:
            text, ends = tensors[f"{name}.bytes"].tobytes(), np.cumsum(tensors[f"{name}.lengths"])
            state[name] = Ids(_slices(text, ends)) if "ids" in value else list(_slices(text, ends))
        elif "value" in value:
            state[name] = value["value"]
    return state


def _slices(text: bytes, ends: npt.NDArray[np.int64]) -> Iterator[str]:
    start = 0
    for end in ends.tolist():
        yield text[start:end].decode()
        start = end
