"""Dataset, History and Features: the three frozen values that flow through the pipeline.

All three speak of users and items by row number. Row `i` is the same user, or the same item, everywhere: in `Ids`, in
the tables, in features, in the columns of scores and in what a recommender learns; outside ids appear where data
comes in and where answers go out. "Frozen" means that no code writes into the arrays: a changed value is a new object
that shares the rest.

Knows nothing about files (`preprocessing/sources/`), about splits (`preprocessing/splits.py`), or about models.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
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
"""The columns of a Dataset that hold one value for each interaction."""

TITLE_COLUMNS = ("title", "name", "headline")
"""Names of the column of an items table that holds titles; the first that is there is used."""


@dataclass(frozen=True, eq=False)
class Features:
    """Vectors that are known of users or items before anything is learnt, such as embeddings of their texts.

    Attributes:
        values: One vector for each user or item; row `i` belongs to row `i` of the dataset. float32 `[n, dim]`
        fingerprint: Digest of what made them (encoder, options, texts); equal fingerprints mean equal values.
    """

    values: Float32
    fingerprint: str

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.values.shape[1])


@dataclass(frozen=True, eq=False)
class History:
    """A batch of histories, each oldest first: the input of every recommender's `score`.

    A history need not belong to a user of the dataset: recommenders score what a person did, not who the person is.
    The histories are stored one after another (`nnz` interactions in all), with row starts, as in a CSR matrix.

    Attributes:
        indptr: History `r` has the interactions `indptr[r]` to `indptr[r + 1]`. int64 `[n + 1]`
        item: Row of the item of each interaction. int32 `[nnz]`
        weight: Strength of each interaction; 0 means seen but not liked. float32 `[nnz]`
        n_items: Number of items of the catalogue.
        user: The user's row at training time, -1 for an anonymous history. int32 `[n]`
        rating: Stars, or None. float32 `[nnz]`
        timestamp: Seconds since 1970, or None. int64 `[nnz]`

    Example:
        >>> from genre.testing import toy_dataset
        >>> history = toy_dataset().history([0, 3])
        >>> history.item[history.indptr[1] : history.indptr[2]].tolist()
        [7, 5, 9, 11, 1, 2]
        >>> history.last(2).lengths.tolist()
        [2, 2]
        >>> from genre import History
        >>> anonymous = History.of([[0, 2], [1]], n_items=12)
        >>> len(anonymous), anonymous.user.tolist()
        (2, [-1, -1])
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
        """Make anonymous histories of weight one.

        Args:
            items: Rows of items, oldest first, a list for each history.
            n_items: Number of items of the catalogue.

        Returns:
            A history for each list.

        Raises:
            DataError: If a row is not in the catalogue.
        """
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
        """Number of interactions of each history `[n]`."""
        return np.diff(self.indptr)

    def row_of(self) -> Int64:
        """Return the number of the history that each interaction belongs to.

        Returns:
            int64 `[nnz]`.
        """
        return np.repeat(np.arange(len(self), dtype=np.int64), self.lengths)

    def select(self, rows: npt.ArrayLike | slice) -> History:
        """Pick histories.

        Args:
            rows: Numbers of histories, in any order and any number of times; a mask `[n]`; or a slice.

        Returns:
            The picked histories, in the order of `rows`.

        Raises:
            DataError: If `rows` are no row numbers of these histories.
        """
        if isinstance(rows, slice) and rows.step in (None, 1):
            first, stop, _ = rows.indices(len(self))
            bounds = self.indptr[first : max(first, stop) + 1]
            return self._at(slice(bounds[0], bounds[-1]), bounds - bounds[0], self.user[first:stop])
        picked = np.arange(len(self))[rows] if isinstance(rows, slice) else row_numbers(rows, len(self), "history")
        lengths = self.lengths[picked]
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        position = np.arange(indptr[-1]) + np.repeat(self.indptr[picked] - indptr[:-1], lengths)
        return self._at(position, indptr, self.user[picked])

    def keep(self, mask: npt.NDArray[np.bool_]) -> History:
        """Keep the interactions where a mask is True; a history may become empty, none is dropped.

        Args:
            mask: Bool `[nnz]`.

        Returns:
            As many histories.
        """
        kept = np.concatenate([[0], np.cumsum(mask)])[self.indptr].astype(np.int64)
        return self._at(np.flatnonzero(mask), kept, self.user)

    def last(self, n: int) -> History:
        """Keep the newest interactions of each history.

        Args:
            n: How many, at most.

        Returns:
            As many histories.
        """
        from_end = np.repeat(self.indptr[1:], self.lengths) - np.arange(len(self.item))
        return self.keep(from_end <= n)

    def decayed(self, half_life: float | None) -> History:
        """Halve the weight of an interaction for every so many newer ones in its history.

        Args:
            half_life: How many newer interactions halve a weight; None changes nothing.

        Returns:
            The same interactions with other weights.
        """
        if half_life is None:
            return self
        newer = np.repeat(self.indptr[1:], self.lengths) - 1 - np.arange(len(self.item))
        return dataclasses.replace(self, weight=(self.weight * np.exp2(-newer / half_life)).astype(np.float32))

    def anonymous(self) -> History:
        """Forget which users the histories belong to.

        Returns:
            The same histories with `user` -1.
        """
        return dataclasses.replace(self, user=np.full(len(self), -1, np.int32))

    def blocks(self, size: int) -> Iterator[tuple[slice, History]]:
        """Cut into consecutive blocks.

        Args:
            size: Histories of a block, at most.

        Yields:
            The slice of histories, and the histories.
        """
        for start in range(0, len(self), size):
            rows = slice(start, min(start + size, len(self)))
            yield rows, self.select(rows)

    def matrix(self) -> sp.csr_matrix:
        """Make a sparse matrix of the weights above zero.

        Returns:
            float32 CSR `[n, n_items]`: the weights of repeated interactions are added up, columns are sorted.
        """
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


@dataclass(frozen=True)
class Settling:
    """What each part of a split has to settle by itself (see `settling.settle`).

    Attributes:
        repeats: which of several interactions of a user with an item stays: first, last, max, sum or all.
        equal_weights: whether every weight above zero counts as 1.
        weights_given: whether the data state weights; else they follow from the ratings.
        scale_stated: whether the rating scale is stated, not found.
        positive_stated: whether it is stated from which rating on an interaction is a like.
        low_rating_weight: weight of an interaction rated below that, 0 to 1.
    """

    repeats: str = "last"
    equal_weights: bool = False
    weights_given: bool = False
    scale_stated: bool = False
    positive_stated: bool = False
    low_rating_weight: float = 0.0


@dataclass(frozen=True, eq=False)
class Dataset:
    """Interactions with their users and items: what recommenders learn from.

    Interactions are sorted by user, then time, then given order, so that the interactions of a user are one history,
    oldest first. Make one with `genre.load` from files, or with `Dataset.from_arrays`.

    Attributes:
        user: Row of the user of each interaction, sorted. int32 `[n]`
        item: Row of its item. int32 `[n]`
        weight: Its strength; 0 means seen but not liked. float32 `[n]`
        user_ids: The outside id of each user row.
        item_ids: The outside id of each item row.
        users: Arrow table of what else is known of users; row `i` belongs to user `i`.
        items: The same of items: titles, texts and other fields.
        rating: Stars, or None. float32 `[n]`
        timestamp: Seconds since 1970, or None. int64 `[n]`
        part: 0 train, 1 validation, 2 test, for data that comes with its split, or None. int8 `[n]`
        rating_scale: Lowest star, highest star and step (0: any value between); None without ratings.
        positive_rating: A rating at or above it is a like; None means that every interaction is.
        item_features: Vectors of items, row `i` for item `i`, or None.
        user_features: Vectors of users, or None.
        name: A name to show.

    Example:
        >>> from genre.testing import toy_dataset
        >>> data = toy_dataset(n_users=20, n_items=12)
        >>> data
        Dataset('toy': 20 users, 12 items, 120 interactions)
        >>> data.item_ids[3], data.item_ids.row("i3")
        ('i3', 3)
        >>> data.history([0]).item.tolist() == data.item[data.user == 0].tolist()
        True
        >>> data.where(data.liked()).matrix().shape
        (20, 12)
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
    settling: Settling | None = None
    report: Any = None

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
        settling: Settling | None = None,
        report: Any = None,
    ) -> Dataset:
        """Make a dataset from columns of row numbers: check them, give them their types, and sort them.

        Args:
            user: Row of the user of each interaction `[n]`.
            item: Row of its item `[n]`.
            user_ids: The outside id of each user row.
            item_ids: The outside id of each item row.
            weight: Strength of each interaction `[n]`; without it 1, or `low_rating_weight` where the rating is below
                `positive_rating`.
            rating: Stars `[n]`.
            timestamp: Whole seconds since 1970 `[n]`; without it the given order is the order in time.
            part: 0 train, 1 validation, 2 test `[n]`.
            users: Fields of users, row `i` for user `i`.
            items: Fields of items, row `i` for item `i`.
            rating_scale: Lowest star, highest star and step.
            positive_rating: A rating at or above it is a like.
            low_rating_weight: Weight of an interaction with a rating below.
            name: A name to show.
            settling: What each part of a split has to settle by itself; None: nothing.
            report: What became of every row on the way here (a `CleaningReport`), or None.

        Returns:
            The sorted dataset.

        Raises:
            DataError: If lengths differ, or a row number is out of range.
        """
        user_rows, item_rows = np.asarray(user, np.int32), np.asarray(item, np.int32)
        stars = None if rating is None else np.asarray(rating, np.float32)
        times = None if timestamp is None else np.asarray(timestamp, np.int64)
        strength = default_weights(len(user_rows), stars, positive_rating, low_rating_weight)
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
            settling=settling,
            report=report,
        )

    def __len__(self) -> int:
        return len(self.user)

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}: {self.n_users:,} users, {self.n_items:,} items, {len(self):,} interactions)"

    @property
    def n_users(self) -> int:
        """Number of users, with or without interactions."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Number of items, with or without interactions."""
        return len(self.item_ids)

    def liked(self) -> npt.NDArray[np.bool_]:
        """Find the interactions that count as a like; rankings are evaluated by them.

        Returns:
            bool `[n]`: a rating of at least `positive_rating`, or a weight above 0 where there are no ratings.
        """
        if self.rating is not None and self.positive_rating is not None:
            return self.rating >= self.positive_rating
        return self.weight > 0

    def history(self, users: npt.ArrayLike | None = None) -> History:
        """Return the histories of users.

        Args:
            users: Rows of users in any order, or a mask `[n_users]`; None for all users.

        Returns:
            A history for each user, empty for a user without interactions.

        Raises:
            DataError: If `users` are no row numbers of this dataset.
        """
        return self._histories if users is None else self._histories.select(row_numbers(users, self.n_users, "user"))

    @cached_property
    def _histories(self) -> History:
        """The histories of all users, whose row starts are searched for once."""
        return History(
            indptr=np.searchsorted(self.user, np.arange(self.n_users + 1, dtype=np.int32)),
            item=self.item,
            weight=self.weight,
            n_items=self.n_items,
            user=np.arange(self.n_users, dtype=np.int32),
            rating=self.rating,
            timestamp=self.timestamp,
        )

    def matrix(self) -> sp.csr_matrix:
        """Make a sparse matrix of the weights above zero.

        Returns:
            float32 CSR `[n_users, n_items]`: the weights of repeated interactions are added up, columns are sorted.
        """
        return self.history().matrix()

    def where(self, mask: npt.NDArray[np.bool_]) -> Dataset:
        """Keep the interactions where a mask is True; users, items and features stay, and so does their numbering.

        Args:
            mask: Bool `[n]`.

        Returns:
            A dataset of fewer interactions.
        """
        rows = np.flatnonzero(mask)  # once, not for every column
        picked: dict[str, Any] = {
            name: None if (column := getattr(self, name)) is None else column[rows] for name in COLUMNS
        }
        return dataclasses.replace(self, **picked)

    def with_features(self, *, items: Features | None = None, users: Features | None = None) -> Dataset:
        """Attach vectors of items or users.

        Args:
            items: One vector for each item; None leaves what is there.
            users: One vector for each user; None leaves what is there.

        Returns:
            The same data with the vectors.

        Raises:
            DataError: If there are more or fewer vectors than rows.
        """
        for label, made, n in (("items", items, self.n_items), ("users", users, self.n_users)):
            if made is not None and len(made.values) != n:
                raise DataError(f"features of {label} have {len(made.values)} rows for {n} {label}")
        return dataclasses.replace(
            self,
            item_features=self.item_features if items is None else items,
            user_features=self.user_features if users is None else users,
        )

    def titles(self) -> list[str]:
        """Return a name for each item to show to people: its title, or its id where it has none.

        Returns:
            `[n_items]` names.
        """
        column = next((c for c in TITLE_COLUMNS if c in self.items.column_names), None)
        if column is None:
            return list(self.item_ids.values.to_pylist())
        texts = self.items[column].cast(pa.string()).to_pylist()
        return [text or self.item_ids[row] for row, text in enumerate(texts)]

    def fingerprint(self) -> str:
        """Compute a digest of everything but the features and the name.

        Returns:
            32 hexadecimal digits, equal for equal data.
        """
        digest = hashlib.blake2b(digest_size=16)
        for name in COLUMNS:
            column = getattr(self, name)
            digest.update(b"-" if column is None else np.ascontiguousarray(column).data)
        digest.update(repr((self.rating_scale, self.positive_rating)).encode())
        digest.update(b"" if self.settling is None else repr(self.settling).encode())
        for table in (
            pa.table({"id": self.user_ids.values}),
            pa.table({"id": self.item_ids.values}),
            self.users,
            self.items,
        ):
            for part in plain_bytes(table):
                digest.update(part)
        return digest.hexdigest()


def default_weights(n: int, rating: Float32 | None, positive_rating: float | None, low_rating_weight: float) -> Float32:
    """Make the weights of interactions that come without weights: 1, or less for a rating that is no like.

    Args:
        n: Number of interactions.
        rating: Stars `[n]`, or None.
        positive_rating: A rating at or above it is a like; None: every interaction is.
        low_rating_weight: Weight of a rating below.

    Returns:
        float32 `[n]`.
    """
    if rating is None or positive_rating is None:
        return np.ones(n, np.float32)
    return np.where(rating >= positive_rating, np.float32(1), np.float32(low_rating_weight))


def row_numbers(rows: npt.ArrayLike, n: int, what: str) -> Int64:
    """Check numbers of rows that a caller gave.

    Args:
        rows: Row numbers `[m]`, or a mask `[n]`.
        n: How many rows there are.
        what: What a row is, for the message: user, history, ...

    Returns:
        int64 `[m]`; of a mask the rows where it is True.

    Raises:
        DataError: If they are something else, or out of range.
    """
    given = np.asarray(rows)
    expected = f"expected {what} rows, whole numbers from 0 to {n - 1}, or a mask of {n} values"
    if given.ndim != 1:
        found = f"{given.item()!r}" if given.ndim == 0 else f"an array of shape {given.shape}"
        raise DataError(f"found {found}; {expected}; put one row into a list: [row]")
    if given.dtype == bool:
        if len(given) != n:
            raise DataError(f"found a mask of {len(given)} values; {expected}")
        return np.flatnonzero(given)
    if len(given) and given.dtype.kind not in "iu":
        raise DataError(
            f"found {given.tolist()[0]!r} ({given.dtype}); {expected}; the rows of ids are given by `Ids.rows`"
        )
    if len(outside := given[(given < 0) | (given >= n)]):
        raise DataError(f"found {what} row {outside[0]}; {expected}")
    return given.astype(np.int64)
