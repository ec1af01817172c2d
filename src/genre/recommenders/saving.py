"""Fitted recommenders as folders of plain files: options and small values as JSON, arrays as safetensors.

Knows nothing about what the values mean or how they were learnt.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from genre import storage
from genre.data.ids import Ids
from genre.errors import ArtifactError, DataError, NotFitted
from genre.kinds import REMEDY, check_learnt, saved_class
from genre.options import options_of


class Saving(ABC):
    """The part of a recommender that writes it to a folder and reads it back.

    Options are the fields of the dataclass, learnt values the attributes whose names end in `_`. A tuple of
    recommenders among the learnt values is written as one sub-folder for each.
    """

    learns: ClassVar[tuple[str, ...]] = ("item_ids_", "popularity_")  # learnt values that every saved model must have

    @classmethod
    @abstractmethod
    def _saved_classes(cls) -> tuple[type[Any], ...]:
        """Return the base of all recommenders, then the bases of other options that have options of their own."""

    def save(self, folder: str | Path) -> None:
        """Write options and learnt values with their hashes; the folder appears whole or not at all.

        Args:
            folder: Where to write; replaced if it exists.

        Raises:
            NotFitted: Before `fit` or `load`.
        """
        self._fitted()
        with storage.publish(Path(folder)) as aside:
            storage.write_json(aside / "options.json", _to_json(self))
            state = self._state()
            members = {name: value for name, value in state.items() if is_members(value)}
            for name, models in members.items():
                for at, model in enumerate(models):
                    model.save(aside / name / str(at))
            tensors, plain = _flatten({name: value for name, value in state.items() if name not in members})
            plain |= {name: {"members": len(models)} for name, models in members.items()}
            storage.write_json(aside / "state.json", plain)
            storage.write_tensors(aside / "state.safetensors", tensors)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read a recommender that `save` wrote.

        `Recommender.load` reads any class, `EASE.load` only an EASE. A class that is not built in has to be imported
        first: reading a folder never imports code that the folder names.

        Args:
            folder: A folder written by `save`.

        Returns:
            The fitted recommender; its scores are equal to the bit.

        Raises:
            ArtifactError: If a file is missing or was changed, or the folder holds another class or version.
        """
        path, (recommender, *_) = Path(folder), cls._saved_classes()
        storage.read_manifest(path)
        options = storage.read_json(path / "options.json")
        try:
            made = _from_json(options, path, cls._saved_classes())
            if not isinstance(made, cls):
                raise ArtifactError(f"{path}: not a saved {cls.__name__}")
            plain = storage.read_json(path / "state.json")
            state = _unflatten(storage.read_tensors(path / "state.safetensors", finite=True), plain)
            for name, value in plain.items():
                if "members" in value:
                    state[name] = tuple(recommender.load(path / name / str(at)) for at in range(value["members"]))
            check_learnt(path, type(made), state)
            for name, value in state.items():
                setattr(made, name, value)
        except (TypeError, KeyError, ValueError, IndexError, AttributeError, ImportError, DataError) as error:
            raise ArtifactError(f"{path}: does not fit this version of {cls.__name__} ({error}); {REMEDY}") from error
        return made

    def _options(self) -> dict[str, Any]:
        """Return the options as JSON values."""
        return _options_of(self)

    def _state(self) -> dict[str, Any]:
        """Return the learnt values: arrays, dicts of arrays, CSR matrices, Ids, lists of texts, numbers, texts."""
        return {name: value for name, value in vars(self).items() if name.endswith("_") and not name.startswith("_")}

    def _fitted(self) -> None:
        """Raise NotFitted before `fit` or `load`."""
        if not hasattr(self, "item_ids_"):
            raise NotFitted(f"{type(self).__name__} has learnt nothing yet; call fit(dataset) or load(folder) first")


def is_members(value: object) -> bool:
    """Say whether a learnt value is a tuple of recommenders.

    Args:
        value: A learnt value.

    Returns:
        True for a tuple of recommenders, the empty tuple included.
    """
    return isinstance(value, tuple) and all(isinstance(item, Saving) for item in value)


def _options_of(made: Any) -> dict[str, Any]:
    return {name: _to_json(value) for name, value in options_of(made).items()}


def _to_json(value: Any) -> Any:
    """Return an option as plain JSON; an object with options of its own becomes its class and its options."""
    if dataclasses.is_dataclass(value):
        return {"class": f"{type(value).__module__}:{type(value).__qualname__}", **_options_of(value)}
    return [_to_json(item) for item in value] if isinstance(value, (tuple, list)) else value


def _from_json(value: Any, folder: Path, classes: tuple[type[Any], ...]) -> Any:
    """Return the option that `_to_json` wrote; only subclasses of `classes` are made."""
    if isinstance(value, list):
        return tuple(_from_json(item, folder, classes) for item in value)
    if not (isinstance(value, dict) and "class" in value):
        return value
    cls = saved_class(folder, value["class"], *classes)
    return cls(**{key: _from_json(item, folder, classes) for key, item in value.items() if key != "class"})


def _flatten(state: dict[str, Any]) -> tuple[storage.Tensors, dict[str, Any]]:
    """Split learnt values into arrays for safetensors and plain values for JSON."""
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
    """Put the learnt values together again from what `_flatten` returned."""
    state: dict[str, Any] = {name: array for name, array in tensors.items() if "." not in name}
    for name, value in plain.items():
        if "csr" in value:
            parts = tuple(tensors[f"{name}.{part}"] for part in ("data", "indices", "indptr"))
            state[name] = sp.csr_matrix(parts, shape=tuple(value["csr"]))
            state[name].check_format(full_check=True)  # SciPy reads other memory where an index is out of range
        elif "arrays" in value:
            state[name] = {key: tensors[f"{name}.{key}"] for key in value["arrays"]}
        elif "ids" in value or "texts" in value:
            text, ends = tensors[f"{name}.bytes"].tobytes(), np.cumsum(tensors[f"{name}.lengths"])
            state[name] = Ids(_slices(text, ends)) if "ids" in value else list(_slices(text, ends))
        elif "value" in value:
            state[name] = value["value"]
    return state


def _slices(text: bytes, ends: npt.NDArray[np.int64]) -> Iterator[str]:
    """Yield the texts that were joined to `text`; each ends where `ends` says."""
    start = 0
    for end in ends.tolist():
        yield text[start:end].decode()
        start = end
