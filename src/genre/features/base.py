"""The contract of every encoder: rows of a table become vectors. Knows nothing about interactions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import pyarrow as pa

from genre.log import SILENT, Log
from genre.options import check_options
from genre.preprocessing.dataset import Features, Float32


class Encoder(ABC):
    """Base of all encoders: a dataclass whose fields are its options.

    A text encoder implements `encode_texts`; one of another kind (images) overrides `encode`.
    """

    def __post_init__(self) -> None:
        check_options(self)

    def fit(self, texts: Sequence[str], *, log: Log = SILENT) -> Self:
        """Learn from texts what the encoder needs (TF-IDF weights); pretrained encoders learn nothing."""
        return self

    @abstractmethod
    def encode_texts(self, texts: Sequence[str], *, log: Log = SILENT) -> Float32:
        """One vector a text, in order; an empty text is a zero vector. float32 `[n, dim]`."""

    @abstractmethod
    def encode(self, table: pa.Table, *, log: Log = SILENT) -> Features:
        """One vector a row of a users' or items' table, with the fingerprint of all that made it."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A digest of model, options and learnt values: equal means equal vectors for equal texts."""

    @abstractmethod
    def save(self, folder: str | Path) -> None:
        """Write options and learnt values; whole or not at all."""

    @classmethod
    @abstractmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote; ArtifactError otherwise."""
