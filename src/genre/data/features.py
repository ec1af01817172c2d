"""Features: vectors of users or items that are known before anything is learnt, in named blocks.

Knows nothing about encoders (`features/`), which make them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genre.arrays import Float32
from genre.errors import DataError
from genre.options import nearest


@dataclass(frozen=True, eq=False)
class Block:
    """The adjacent columns of features that come from one source, such as texts, images or sound.

    Attributes:
        name: How recommenders name it.
        dim: Number of its columns.
        known: Whether each row has it; where not, its columns are zero. bool `[n]`
    """

    name: str
    dim: int
    known: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Features:
    """Vectors that are known of users or items before anything is learnt, such as embeddings of their texts.

    Attributes:
        values: One vector for each user or item; row `i` belongs to row `i` of the dataset. float32 `[n, dim]`
        fingerprint: Digest of what made them (encoder, options, texts); equal fingerprints mean equal values.
        blocks: The blocks that the columns consist of, in order; empty: they come from one source.
    """

    values: Float32
    fingerprint: str
    blocks: tuple[Block, ...] = ()

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.values.shape[1])

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Whether each row has a block, or without blocks a vector that is not zero. bool `[n]`."""
        if not self.blocks:
            return np.asarray(self.values.any(axis=1))
        return np.asarray(np.any([block.known for block in self.blocks], axis=0), bool)

    def columns(self, name: str) -> slice:
        """Find the columns of a block.

        Args:
            name: Its name; empty: all columns.

        Returns:
            The range of columns.

        Raises:
            DataError: There is no such block.
        """
        if not name:
            return slice(0, self.dim)
        names = [block.name for block in self.blocks]
        if name not in names:
            there = f"there are {', '.join(names)}" if names else "features.items names none, see kind: concat"
            raise DataError(f"no block {name!r} of features{nearest(name, names)}; {there}")
        start = sum(block.dim for block in self.blocks[: names.index(name)])
        return slice(start, start + self.blocks[names.index(name)].dim)

    def append(self, values: Float32) -> Features:
        """Add rows; one has a block where its columns are not all zero.

        Args:
            values: The vectors of further users or items. `[n_new, dim]`

        Returns:
            The larger features.
        """
        blocks = tuple(
            Block(block.name, block.dim, np.append(block.known, values[:, self.columns(block.name)].any(axis=1)))
            for block in self.blocks
        )
        return Features(np.concatenate([self.values, values]), self.fingerprint, blocks)


def join_blocks(
    parts: Sequence[Float32], names: Sequence[str], known: Sequence[npt.NDArray[np.bool_]], digest: str
) -> Features:
    """Put blocks side by side.

    Args:
        parts: The columns of each block. `[n, dim]` each
        names: The name of each.
        known: Whether each row has it. bool `[n]` each
        digest: The fingerprint of what made them.

    Returns:
        The features of all blocks.
    """
    blocks = [Block(name, part.shape[1], has) for name, part, has in zip(names, parts, known, strict=True)]
    return Features(np.concatenate(parts, axis=1), digest, tuple(blocks))
