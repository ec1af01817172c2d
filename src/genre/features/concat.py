"""Encoder `concat`: the vectors of several encoders as named blocks. Knows nothing about what they read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from typing_extensions import override

from genre.arrays import Float32
from genre.data.features import Features, join_blocks
from genre.data.linear_algebra import unit_rows, whitening
from genre.errors import NotFitted, OptionError
from genre.features.base import Encoder, digest_texts
from genre.log import SILENT, Log
from genre.options import Doc, Ge, Gt, Le

Mask = npt.NDArray[np.bool_]


@dataclass(eq=False)
class Concat(Encoder):
    """The vectors of several encoders side by side, each a named block: the early fusion of texts, images and others.

    Each block is whitened on the rows that have it (as `content` does), gets length one, and is scaled by the square
    root of its share of the weights; then the whole vector gets length one. So the similarity of two rows is the
    weighted mean of their similarities in each block, and a row that lacks a block is as long as any other: its other
    blocks count for more. A recommender may read one block alone, by its name.
    """

    parts: Annotated[
        tuple[Encoder, ...], Doc("The encoders, such as `[{kind: embedding}, {kind: vectors, path: posters.parquet}]`.")
    ]
    weights: Annotated[tuple[Annotated[float, Gt(0)], ...], Doc("One a part; empty: all equal.")] = ()
    names: Annotated[
        tuple[str, ...], Doc("The name of each block; empty: the kinds, with a number from the second of a kind on.")
    ] = ()
    whitening: Annotated[
        Annotated[float, Ge(0), Le(1)] | None,
        Doc("Power of the whitening of each block, see `content`; None: vectors as they are, not centred."),
    ] = 0.5

    learns: ClassVar[tuple[str, ...]] = ("dims_", "center_", "directions_")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.parts:
            raise OptionError("Concat: parts: there are none; give one encoder or more")
        for option, given in (("weights", self.weights), ("names", self.names)):
            if len(given) not in (0, len(self.parts)):
                raise OptionError(f"Concat: {option}: {len(given)} for {len(self.parts)} parts; give one each or none")
        if len(set(self.names)) < len(self.names) or "" in self.names:
            raise OptionError(f"Concat: names: {', '.join(map(repr, self.names))}; give each part another name")

    @override
    def check_machine(self) -> None:
        for part in self.parts:
            part.check_machine()

    @override
    def file_digests(self) -> list[str]:
        return [digest for part in self.parts for digest in part.file_digests()]

    @override
    def unread(self, texts: Sequence[str]) -> str:
        return next((problem for part in self.parts if (problem := part.unread(texts))), "")

    @property
    def block_names(self) -> tuple[str, ...]:
        """The name of each block."""
        if self.names:
            return self.names
        kinds = [type(part).__name__.lower() for part in self.parts]
        numbers = [kinds[: at + 1].count(kind) for at, kind in enumerate(kinds)]
        return tuple(f"{kind}-{n}" if n > 1 else kind for kind, n in zip(kinds, numbers, strict=True))

    @override
    def fit(self, table: pa.Table, *, log: Log = SILENT) -> Self:
        """Fit the parts, and learn from their vectors how to whiten each block."""
        made = [part.fit(table, log=log).encode(table, log=log).values for part in self.parts]
        found = [self._map(values) for values in made]
        self.dims_ = np.array([directions.shape for _, directions in found], np.int64)  # [n_parts, 2]: in, out
        self.center_ = np.concatenate([center for center, _ in found])  # [all in]
        self.directions_ = np.concatenate([directions.ravel() for _, directions in found])
        for name, values in zip(self.block_names, made, strict=True):
            log.line(f"concat: {values.any(axis=1).sum():,} of {len(table):,} rows have {name}")
        return self

    def _map(self, values: Float32) -> tuple[Float32, Float32]:
        """Return the centre `[n_in]` of a block and its directions `[n_in, n_out]`."""
        n_in = values.shape[1]
        if self.whitening is None or not values.any():
            return np.zeros(n_in, np.float32), np.eye(n_in, dtype=np.float32)
        return whitening(values, self.whitening, n_in)

    @override
    def encode(self, table: pa.Table, *, log: Log = SILENT) -> Features:
        made = [part.encode(table, log=log) for part in self.parts]
        digest = digest_texts([self.fingerprint, *(features.fingerprint for features in made)])
        known = [features.known for features in made]
        return self._join([features.values for features in made], known, digest)

    @override
    def encode_texts(self, texts: Sequence[str], *, log: Log = SILENT) -> Float32:
        made = [part.encode_texts(texts, log=log) for part in self.parts]
        return self._join(made, [np.asarray(values.any(axis=1)) for values in made], "").values

    @override
    def text_columns(self, values: Float32) -> Float32:
        widths = [directions.shape[1] for _, directions in self._maps()]
        blocks = np.split(values, np.cumsum(widths)[:-1], axis=1)
        kept = [part.text_columns(block) for part, block in zip(self.parts, blocks, strict=True)]
        return np.concatenate(kept, axis=1)

    @property
    @override
    def fingerprint(self) -> str:
        return digest_texts([super().fingerprint, *(part.fingerprint for part in self.parts)])

    def _maps(self) -> list[tuple[Float32, Float32]]:
        """Return the centre `[n_in]` and the directions `[n_in, n_out]` of each block."""
        if not hasattr(self, "dims_"):
            raise NotFitted("concat: is not fitted; call fit(table) or load(folder) first")
        centers = np.split(self.center_, np.cumsum(self.dims_[:, 0])[:-1])
        directions = np.split(self.directions_, np.cumsum(self.dims_.prod(axis=1))[:-1])
        shaped = [flat.reshape(shape) for flat, shape in zip(directions, self.dims_, strict=True)]
        return list(zip(centers, shaped, strict=True))

    def _join(self, parts: list[Float32], known: list[Mask], digest: str) -> Features:
        """Put the weighted blocks of length one side by side, every row of length one."""
        held = np.array(self.weights or [1.0] * len(parts), np.float32) * np.stack(known, axis=1)  # [n, n_parts]
        shares = np.sqrt(held / np.maximum(held.sum(axis=1, keepdims=True), 1e-12))
        blocks = [
            np.asarray(unit_rows((part - center) @ directions) * shares[:, [at]], np.float32)
            for at, (part, (center, directions)) in enumerate(zip(parts, self._maps(), strict=True))
        ]
        return join_blocks(blocks, self.block_names, known, digest)

    def _options(self) -> dict[str, Any]:
        return {
            "weights": list(self.weights),
            "names": list(self.names),
            "whitening": self.whitening,
            "parts": len(self.parts),
        }

    def _write(self, folder: Path) -> None:
        super()._write(folder)
        for at, part in enumerate(self.parts):
            part.save(folder / "parts" / str(at))

    @classmethod
    def _read(cls, folder: Path, options: dict[str, Any]) -> Self:
        parts = tuple(Encoder.load(folder / "parts" / str(at)) for at in range(options["parts"]))
        return super()._read(folder, {**options, "parts": parts})
