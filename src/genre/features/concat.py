"""Encoder `concat`: the vectors of several encoders side by side. Knows nothing about what they read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import pyarrow as pa
from typing_extensions import override

from genre.arrays import Float32
from genre.data.dataset import Features
from genre.data.linear import unit_rows
from genre.errors import OptionError
from genre.features.base import Encoder, digest_texts
from genre.log import SILENT, Log
from genre.options import Doc, Gt


@dataclass(eq=False)
class Concat(Encoder):
    """The vectors of several encoders in one: the similarity of two rows is the weighted mean of their similarities.

    Each part has length one and is scaled by the square root of its share of the weights.
    """

    parts: Annotated[
        tuple[Encoder, ...], Doc("The encoders, such as `[{kind: embedding}, {kind: vectors, path: posters.parquet}]`.")
    ]
    weights: Annotated[tuple[Annotated[float, Gt(0)], ...], Doc("One a part; empty: all equal.")] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.parts or len(self.weights) not in (0, len(self.parts)):
            raise OptionError(
                f"Concat: weights: {len(self.weights)} for {len(self.parts)} parts; give one each or none"
            )

    @override
    def check_machine(self) -> None:
        for part in self.parts:
            part.check_machine()

    @override
    def unread(self, texts: Sequence[str]) -> str:
        return next((problem for part in self.parts if (problem := part.unread(texts))), "")

    @override
    def fit(self, table: pa.Table, *, log: Log = SILENT) -> Self:
        for part in self.parts:
            part.fit(table, log=log)
        return self

    @override
    def encode(self, table: pa.Table, *, log: Log = SILENT) -> Features:
        made = [part.encode(table, log=log) for part in self.parts]
        return Features(
            self._joined([features.values for features in made]),
            digest_texts([str(self.weights), *(features.fingerprint for features in made)]),
        )

    @override
    def encode_texts(self, texts: Sequence[str], *, log: Log = SILENT) -> Float32:
        return self._joined([part.encode_texts(texts, log=log) for part in self.parts])

    @property
    @override
    def fingerprint(self) -> str:
        return digest_texts([str(self.weights), *(part.fingerprint for part in self.parts)])

    def _joined(self, parts: list[Float32]) -> Float32:
        """Put the weighted unit vectors of the parts side by side, [n, sum of dims]."""
        weights = np.array(self.weights or [1.0] * len(parts), np.float32)
        shares = np.sqrt(weights / weights.sum())
        return np.concatenate([unit_rows(part) * share for part, share in zip(parts, shares, strict=True)], axis=1)

    def _options(self) -> dict[str, Any]:
        return {"weights": list(self.weights), "parts": len(self.parts)}

    def _write(self, folder: Path) -> None:
        super()._write(folder)
        for at, part in enumerate(self.parts):
            part.save(folder / "parts" / str(at))

    @classmethod
    def _read(cls, folder: Path, options: dict[str, Any]) -> Self:
        parts = tuple(Encoder.load(folder / "parts" / str(at)) for at in range(options["parts"]))
        return cls(parts, tuple(options["weights"]))
