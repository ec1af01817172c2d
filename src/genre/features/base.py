"""The contract of every encoder: rows of a table become vectors. Knows nothing about interactions."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa

from genre import storage
from genre.arrays import Float32
from genre.data.dataset import Dataset
from genre.data.features import Features
from genre.errors import ArtifactError, DataError
from genre.features.text import render
from genre.kinds import REMEDY, check_learnt, saved_class
from genre.log import SILENT, Log
from genre.options import check_options, options_of


class Encoder(ABC):
    """Base of all encoders: a dataclass whose fields are its options; learnt values are attributes that end in `_`.

    A text encoder implements `encode_texts`; one of another kind (images) overrides `encode`.

    Attributes:
        learns: Names of the learnt values that a saved folder must have.
        reads_text: Whether texts can be compared with its vectors; False for images, sound and vectors made elsewhere.

    Example:
        >>> from dataclasses import dataclass
        >>> import numpy as np
        >>> import pyarrow as pa
        >>> from genre import Encoder
        >>> @dataclass
        ... class TextLength(Encoder):
        ...     unit: float = 10.0
        ...     def encode_texts(self, texts, *, log=None):
        ...         return np.array([[len(text) / self.unit] for text in texts], np.float32)
        >>> TextLength().encode(pa.table({"item_id": ["a", "b"], "title": ["Heat", "Alien"]})).values.tolist()
        [[0.4000000059604645], [0.5]]
    """

    learns: ClassVar[tuple[str, ...]] = ()
    reads_text: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_options(self)

    def check_machine(self) -> None:
        """Raise an error where the encoder cannot run on this machine, such as without the device that it names.

        Raises:
            OptionError: The device does not exist here.
        """
        return

    def unread(self, texts: Sequence[str]) -> str:
        """Describe which of some texts the encoder cannot read.

        Args:
            texts: Texts as `texts` returns them.

        Returns:
            One sentence with the share; empty where it reads them all, or cannot tell.
        """
        return ""

    def fit(self, table: pa.Table, *, log: Log = SILENT) -> Self:
        """Learn what the encoder needs, such as TF-IDF weights; a pretrained encoder learns nothing.

        Args:
            table: Rows of items or users.
            log: Where progress is shown.

        Returns:
            The encoder itself.

        Raises:
            DataError: If it cannot learn from these rows.
        """
        return self

    def texts(self, table: pa.Table) -> list[str]:
        """Return the text that is read of each row.

        Args:
            table: Rows of items or users.

        Returns:
            One text a row. [n]
        """
        return render(table)

    def encode(self, table: pa.Table, *, log: Log = SILENT) -> Features:
        """Encode the rows of a table of users or items.

        Args:
            table: Rows of items or users.
            log: Where progress is shown.

        Returns:
            One vector a row `[n, dim]`, with the fingerprint of all that made it.
        """
        texts = self.texts(table)
        return Features(self.encode_texts(texts, log=log), digest_texts([self.fingerprint, *texts]))

    @abstractmethod
    def encode_texts(self, texts: Sequence[str], *, log: Log = SILENT) -> Float32:
        """Encode texts.

        Args:
            texts: Any texts; an empty one is a zero vector.
            log: Where progress is shown.

        Returns:
            One vector a text, in order. float32 `[n, dim]`
        """

    def encode_once(self, texts: Sequence[str]) -> Float32:
        """Encode texts that hardly come twice, such as queries, without keeping their vectors in a cache.

        Args:
            texts: Any texts.

        Returns:
            The vectors of `encode_texts`. float32 `[n, dim]`
        """
        return self.encode_texts(texts)

    def file_digests(self) -> list[str]:
        """Compute a digest of each file that an option names, so that a run is made again where one changes.

        Returns:
            SHA-256 of each file that is there.
        """
        return [storage.sha256(path) for path in vars(self).values() if isinstance(path, Path) and path.is_file()]

    def text_columns(self, values: Float32) -> Float32:
        """Keep of vectors what texts can be compared with.

        Args:
            values: Vectors that `encode` made. `[n, dim]`

        Returns:
            The vectors, zero in columns that do not come from texts. `[n, dim]`
        """
        return values if self.reads_text else np.zeros_like(values)

    @property
    def fingerprint(self) -> str:
        """A digest of model, options and learnt values: equal means equal vectors for equal texts."""
        state = [f"{name} {_digest_of(value)}" for name, value in sorted(self._state().items())]
        return digest_texts([_class_path(type(self)), json.dumps(self._options(), sort_keys=True), *state])

    def save(self, folder: str | Path) -> None:
        """Write options and learnt values, whole or not at all.

        Args:
            folder: Where to; replaced if it exists.
        """
        with storage.publish(Path(folder)) as aside:
            self._write(aside)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read a saved encoder; `Encoder.load` reads any class.

        A class that is not built in has to be imported before: a folder alone never makes code run.

        Args:
            folder: A folder that `save` wrote.

        Returns:
            The encoder.

        Raises:
            ArtifactError: The folder is damaged, of another class, or of another version.
        """
        path = Path(folder)
        storage.read_manifest(path)
        options = storage.read_json(path / "options.json")
        try:
            saved = saved_class(path, options.pop("class"), Encoder)
            if not issubclass(saved, cls):
                raise ArtifactError(f"{path}: not a saved {cls.__name__}")
            return saved._read(path, options)
        except (TypeError, KeyError, ValueError, AttributeError, ImportError, DataError) as error:
            raise ArtifactError(f"{path}: does not fit this version of {cls.__name__} ({error}); {REMEDY}") from error

    def _write(self, folder: Path) -> None:
        """Write options and learnt values into an existing folder."""
        state = self._state()
        arrays = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
        storage.write_json(folder / "options.json", {"class": _class_path(type(self)), **self._options()})
        storage.write_json(folder / "state.json", {k: v for k, v in state.items() if k not in arrays})
        storage.write_tensors(folder / "state.safetensors", arrays)

    @classmethod
    def _read(cls, folder: Path, options: dict[str, Any]) -> Self:
        """Make an encoder from its options and the learnt values in a folder."""
        made = cls(**{key: tuple(v) if isinstance(v, list) else v for key, v in options.items()})
        plain, arrays = (
            storage.read_json(folder / "state.json"),
            storage.read_tensors(folder / "state.safetensors", finite=True),
        )
        check_learnt(folder, cls, {**plain, **arrays})
        for name, value in {**plain, **arrays}.items():
            setattr(made, name, value)
        return made

    def _options(self) -> dict[str, Any]:
        """Return the options as JSON values."""
        return options_of(self)

    def _state(self) -> dict[str, Any]:
        """Return the learnt values by name: arrays and JSON values."""
        return {name: value for name, value in vars(self).items() if name.endswith("_") and not name.startswith("_")}


def item_features(dataset: Dataset, encoder: Encoder, *, log: Log = SILENT) -> Features:
    """Fit an encoder on the items' table and encode the items.

    Args:
        dataset: Its items are encoded, by their fields.
        encoder: Is fitted.
        log: Where progress is shown.

    Returns:
        One vector an item. [n_items, dim]
    """
    return encoder.fit(dataset.items, log=log).encode(dataset.items, log=log)


def digest_texts(parts: Iterable[str]) -> str:
    """Compute a short digest of texts in order.

    Args:
        parts: Any texts; where one ends and the next begins counts.

    Returns:
        32 hexadecimal digits.
    """
    made = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        made.update(len(data).to_bytes(8, "little"))
        made.update(data)
    return made.hexdigest()


def _digest_of(value: Any) -> str:
    """Return a digest of a learnt array, or a learnt JSON value as text."""
    if isinstance(value, np.ndarray):
        data = np.ascontiguousarray(value)
        return f"{data.dtype} {data.shape} {hashlib.blake2b(data.view(np.uint8).data, digest_size=16).hexdigest()}"
    return json.dumps(value, sort_keys=True)


def _class_path(cls: type) -> str:
    """Return `module:Class`, as `kinds.py` names classes."""
    return f"{cls.__module__}:{cls.__qualname__}"
