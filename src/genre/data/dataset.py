"""Dataset, History, Features: the three frozen values that flow through the pipeline.

Knows row numbers only; how files become a Dataset is `sources.py`, who may see which part is `splits.py`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy.sparse as sp

from genre.arrays import Float32, Int32, Int64
from genre.data.arrow import plain_bytes
from genre.data.ids import Ids
from genre.errors import DataError
from genre.kernels.order import user_time_order

COLUMNS = ("user", "item", "weight", "rating", "timestamp", "part")
"""The columns of a Dataset that hold one value an interaction."""


@dataclass(frozen=True, eq=False)
class Features:
    """One vector a row, known before `fit`.

    values: float32 `[n, dim]`, aligned with the rows of users or items.
    fingerprint: what made them (encoder, options, texts); equal fingerprints mean equal values.
    """

    values: Float32
    fingerprint: str

    @property
    def dim(self) -> int:
        return int(self.values.shape[1])


@dataclass(frozen=True, eq=False)
class History:
    """A batch of `n` histories, each oldest first: what a recommender scores.

    indptr: int64 `[n + 1]`; history `r` is `item[indptr[r]:indptr[r + 1]]`.
    item: int32 row numbers. weight: float32 strength, 0 = seen but not liked.
    rating: float32 stars or None. timestamp: int64 seconds since 1970 or None.
    user: int32 `[n]`, the row a user had at training time, -1 for anybody else.
    n_items: size of the catalogue.
    """

    indptr: Int64
    item: Int32
    weight: Float32
    n_items: int
    user: Int32
    rating: Float32 | None = None
    timestamp: Int64 | None = None

    @classmethod
    def of(cls, items: Sequence[Sequence[int] | Int32], n_items: int) -> History:
        """Anonymous histories of weight one from lists of item rows, oldest first."""
        lengths = np.array([len(row) for row in items], dtype=np.int64)
        flat = [np.asarray(row, dtype=np.int32) for row in items]
        item = np.concatenate(flat) if flat else np.empty(0, np.int32)
        if len(beyond := item[(item < 0) | (item >= n_items)]):
            raise DataError(f"a history names item row {int(beyond[0])}, but there are {n_items} items")
        return cls(
            indptr=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            item=item,
            weight=np.ones(len(item), np.float32),
            n_items=n_items,
            user=np.full(len(items), -1, np.int32),
        )

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def lengths(self) -> Int64:
        return np.diff(self.indptr)

    def row_of(self) -> Int64:
        """For each interaction the history it belongs to. [nnz]"""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.lengths)

    def select(self, rows: npt.ArrayLike | slice) -> History:
        """The same histories in another order or number."""
        if isinstance(rows, slice) and rows.step in (None, 1):
            first, stop, _ = rows.indices(len(self))
            bounds = self.indptr[first : max(first, stop) + 1]
            return self._at(slice(bounds[0], bounds[-1]), bounds - bounds[0], self.user[first:stop])
        picked = np.arange(len(self))[rows] if isinstance(rows, slice) else np.asarray(rows, dtype=np.int64)
        lengths = self.lengths[picked]
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        position = np.arange(indptr[-1]) + np.repeat(self.indptr[picked] - indptr[:-1], lengths)
        return self._at(position, indptr, self.user[picked])

    def keep(self, mask: npt.NDArray[np.bool_]) -> History:
        """The same histories without the interactions where `mask` `[nnz]` is False."""
        kept = np.concatenate([[0], np.cumsum(mask)])[self.indptr].astype(np.int64)
        return self._at(np.flatnonzero(mask), kept, self.user)

    def last(self, n: int) -> History:
        """Only the newest `n` interactions of each history."""
        from_end = np.repeat(self.indptr[1:], self.lengths) - np.arange(len(self.item))
        return self.keep(from_end <= n)

    def decayed(self, half_life: float | None) -> History:
        """The same histories, each interaction half as strong for every `half_life` newer ones; None: as they are."""
        if half_life is None:
            return self
        newer = np.repeat(self.indptr[1:], self.lengths) - 1 - np.arange(len(self.item))
        return dataclasses.replace(self, weight=(self.weight * np.exp2(-newer / half_life)).astype(np.float32))

    def anonymous(self) -> History:
        """The same histories without training rows."""
        return dataclasses.replace(self, user=np.full(len(self), -1, np.int32))

    def blocks(self, size: int) -> Iterator[tuple[slice, History]]:
        """Consecutive blocks of at most `size` histories."""
        for start in range(0, len(self), size):
            rows = slice(start, min(start + size, len(self)))
            yield rows, self.select(rows)

    def matrix(self) -> sp.csr_matrix:
        """Weights above zero as float32 CSR `[n, n_items]`, repeats summed, columns sorted."""
        out = sp.csr_matrix((self.weight, self.item, self.indptr), shape=(len(self), self.n_items), copy=True)
        out.sort_indices()  # in place: a transpose and back would hold the matrix three times
        out.sum_duplicates()
        out.eliminate_zeros()
        return out

    def _at(self, position: Int64 | slice, indptr: Int64, user: Int32) -> History:
        return History(
            indptr=indptr,
            item=self.item[position],
            weight=self.weight[position],
            n_items=self.n_items,
            user=np.asarray(user, np.int32),
            rating=None if self.rating is None else self.rating[position],
            timestamp=None if self.timestamp is None else self.timestamp[position],
        )


@dataclass(frozen=True, eq=False)
class Dataset:
    """Interactions with their users and items. Rows are sorted by user, then time, then given order.

    user, item: int32 `[n]` row numbers. weight: float32 `[n]` strength of the interaction; 0 = seen, not
    liked. rating: float32 `[n]` stars or None. timestamp: int64 `[n]` seconds since 1970 or None.
    part: int8 `[n]` 0 train, 1 validation, 2 test, for data that comes with its split, or None.
    users, items: Arrow tables aligned with the ids: their text and other fields.
    rating_scale: lowest star, highest star, step (0: any value between); None without ratings.
    positive_rating: a rating at or above it is a like; None: every interaction is.
    item_features, user_features: what the encoders made, or None.
    """

    user: Int32
    item: Int32
    weight: Float32
    user_ids: Ids
    item_ids: Ids
    users: pa.Table
    items: pa.Table
    rating: Float32 | None = None
    timestamp: Int64 | None = None
    part: npt.NDArray[np.int8] | None = None
    rating_scale: tuple[float, float, float] | None = None
    positive_rating: float | None = None
    item_features: Features | None = None
    user_features: Features | None = None
    name: str = "data"

    @classmethod
    def from_arrays(
        cls,
        *,
        user: npt.ArrayLike,
        item: npt.ArrayLike,
        user_ids: Ids,
        item_ids: Ids,
        weight: npt.ArrayLike | None = None,
        rating: npt.ArrayLike | None = None,
        timestamp: npt.ArrayLike | None = None,
        part: npt.ArrayLike | None = None,
        users: pa.Table | None = None,
        items: pa.Table | None = None,
        rating_scale: tuple[float, float, float] | None = None,
        positive_rating: float | None = None,
        low_rating_weight: float = 0.0,
        name: str = "data",
    ) -> Dataset:
        """Sort, type and check columns of row numbers.

        Without `weight` an interaction weighs 1, or `low_rating_weight` where its rating is below
        `positive_rating`. Raises DataError when lengths or row numbers do not fit.
        """
        user_rows, item_rows = np.asarray(user, np.int32), np.asarray(item, np.int32)
        stars = None if rating is None else np.asarray(rating, np.float32)
        times = None if timestamp is None else np.asarray(timestamp, np.int64)
        strength = weigh(len(user_rows), stars, positive_rating, low_rating_weight)
        if weight is not None:
            strength = np.asarray(weight, np.float32)
        parts = None if part is None else np.asarray(part, np.int8)
        for label, rows, ids in (("user", user_rows, user_ids), ("item", item_rows, item_ids)):
            if len(rows) and (rows.min() < 0 or rows.max() >= len(ids)):
                raise DataError(f"{label} row numbers leave the range 0..{len(ids) - 1}")
        columns = {"item": item_rows, "weight": strength, "rating": stars, "timestamp": times, "part": parts}
        for label, column in columns.items():
            if column is not None and len(column) != len(user_rows):
                raise DataError(f"{label} has {len(column)} values for {len(user_rows)} interactions")
        order = user_time_order(user_rows, times, len(user_ids))
        return cls(
            user=user_rows[order],
            item=item_rows[order],
            weight=strength[order],
            user_ids=user_ids,
            item_ids=item_ids,
            users=pa.table({"user_id": user_ids.values}) if users is None else users,
            items=pa.table({"item_id": item_ids.values}) if items is None else items,
            rating=None if stars is None else stars[order],
            timestamp=None if times is None else times[order],
            part=None if parts is None else parts[order],
            rating_scale=rating_scale,
            positive_rating=positive_rating,
            name=name,
        )

    def __len__(self) -> int:
        return len(self.user)

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}: {self.n_users:,} users, {self.n_items:,} items, {len(self):,} interactions)"

    @property
    def n_users(self) -> int:
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        return len(self.item_ids)

    def liked(self) -> npt.NDArray[np.bool_]:
        """Which interactions count as a like: what a ranking is judged by. [n]"""
        if self.rating is not None and self.positive_rating is not None:
            return self.rating >= self.positive_rating
        return self.weight > 0

    def history(self, users: npt.ArrayLike | None = None) -> History:
        """The histories of all users, or of the given user rows in their order."""
        whole = History(
            indptr=np.searchsorted(self.user, np.arange(self.n_users + 1, dtype=np.int32)),
            item=self.item,
            weight=self.weight,
            n_items=self.n_items,
            user=np.arange(self.n_users, dtype=np.int32),
            rating=self.rating,
            timestamp=self.timestamp,
        )
        return whole if users is None else whole.select(users)

    def matrix(self) -> sp.csr_matrix:
        """Weights above zero as float32 CSR `[n_users, n_items]`, repeats summed."""
        return self.history().matrix()

    def where(self, mask: npt.NDArray[np.bool_]) -> Dataset:
        """The same users, items and features with only the interactions where `mask` is True."""
        rows = np.flatnonzero(mask)  # once, not for every column
        picked: dict[str, Any] = {
            name: None if (column := getattr(self, name)) is None else column[rows] for name in COLUMNS
        }
        return dataclasses.replace(self, **picked)

    def with_features(self, *, items: Features | None = None, users: Features | None = None) -> Dataset:
        """The same data with vectors attached; raises DataError when the row counts differ."""
        for label, made, n in (("items", items, self.n_items), ("users", users, self.n_users)):
            if made is not None and len(made.values) != n:
                raise DataError(f"features of {label} have {len(made.values)} rows for {n} {label}")
        return dataclasses.replace(
            self,
            item_features=self.item_features if items is None else items,
            user_features=self.user_features if users is None else users,
        )

    def titles(self) -> list[str]:
        """A name for each item to show to people: its title, or its id."""
        column = next((c for c in TITLES if c in self.items.column_names), None)
        if column is None:
            return list(self.item_ids.values.to_pylist())
        texts = self.items[column].cast(pa.string()).to_pylist()
        return [text or self.item_ids[row] for row, text in enumerate(texts)]

    def fingerprint(self) -> str:
        """A digest of everything in here but the features: equal means the same data."""
        digest = hashlib.blake2b(digest_size=16)
        for name in COLUMNS:
            column = getattr(self, name)
            digest.update(b"-" if column is None else np.ascontiguousarray(column).data)
        digest.update(repr((self.rating_scale, self.positive_rating)).encode())
        for table in (
            pa.table({"id": self.user_ids.values}),
            pa.table({"id": self.item_ids.values}),
            self.users,
            self.items,
        ):
            for part in plain_bytes(table):
                digest.update(part)
        return digest.hexdigest()


def weigh(n: int, rating: Float32 | None, positive_rating: float | None, low_rating_weight: float) -> Float32:
    """The weight of interactions that state none: 1, or `low_rating_weight` for a rating that is no like. [n]"""
    if rating is None or positive_rating is None:
        return np.ones(n, np.float32)
    return np.where(rating >= positive_rating, np.float32(1), np.float32(low_rating_weight))


TITLES = ("title", "name", "headline")
"""What people call the column that names a thing, in this order."""
