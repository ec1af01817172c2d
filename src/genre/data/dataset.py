"""Dataset: the first of the frozen values that flow through the pipeline; the others are in history.py and features.py.

All speak of users and items by row number. Row `i` is the same user, or the same item, everywhere: in `Ids`, in
the tables, in features, in the columns of scores and in what a recommender learns; outside ids appear where data
comes in and where answers go out. "Frozen" means that no code writes into the arrays: a changed value is a new object
that shares the rest.

Knows nothing about files (`preprocessing/sources/`), about splits (`preprocessing/splits.py`), or about models.
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy.sparse as sp

from genre.arrays import Float32, Int32, Int64
from genre.data.arrow import plain_bytes
from genre.data.context import Texts
from genre.data.features import Features
from genre.data.history import History
from genre.data.ids import Ids
from genre.data.titles import Titles
from genre.data.weights import default_weights
from genre.display import Display
from genre.errors import DataError
from genre.kernels.order import user_time_order

COLUMNS: dict[str, type[np.generic]] = {
    "user": np.int32,
    "item": np.int32,
    "weight": np.float32,
    "rating": np.float32,
    "timestamp": np.int64,
    "part": np.int8,
    "context": np.int32,
}
"""The columns of a Dataset that hold one value for each interaction, and their types."""

MOST_SHOWN = 5  # items of a notebook's table

TITLE_COLUMNS = ("title", "name", "headline")
"""Names of the column of an items table that holds titles; the first that is there is used."""


@dataclass(frozen=True)
class PartRules:
    """What is decided in each part of a split by itself, by `apply_part_rules`.

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
        context: Row of `contexts` of each interaction, -1 where unknown; or None. int32 `[n]`
        contexts: Arrow table of the circumstances that occur, such as `device`, all texts; None without `context`.
        rating_scale: Lowest star, highest star and step (0: any value between); None without ratings.
        positive_rating: A rating at or above it is a like; None means that every interaction is.
        item_features: Vectors of items, row `i` for item `i`, or None.
        user_features: Vectors of users, or None.
        name: A name to show.
        part_rules: What is decided in each part of a split by itself; None: nothing.
        report: What became of every row on the way here (a `CleaningReport`), or None.
        frame_library: The library of the frames that it was made of, such as `polars`; None: it was made of none.

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
    context: Int32 | None = None
    contexts: pa.Table | None = None
    rating_scale: tuple[float, float, float] | None = None
    positive_rating: float | None = None
    item_features: Features | None = None
    user_features: Features | None = None
    name: str = "data"
    part_rules: PartRules | None = None
    report: Any = None
    frame_library: str | None = None

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
        context: npt.ArrayLike | None = None,
        contexts: pa.Table | None = None,
        users: pa.Table | None = None,
        items: pa.Table | None = None,
        rating_scale: tuple[float, float, float] | None = None,
        positive_rating: float | None = None,
        low_rating_weight: float = 0.0,
        name: str = "data",
        part_rules: PartRules | None = None,
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
            context: Row of `contexts` `[n]`, -1 where unknown.
            contexts: The circumstances that occur, all texts.
            users: Fields of users, row `i` for user `i`.
            items: Fields of items, row `i` for item `i`.
            rating_scale: Lowest star, highest star and step.
            positive_rating: A rating at or above it is a like.
            low_rating_weight: Weight of an interaction with a rating below.
            name: A name to show.
            part_rules: What is decided in each part of a split by itself; None: nothing.
            report: What became of every row on the way here (a `CleaningReport`), or None.

        Returns:
            The sorted dataset.

        Raises:
            DataError: If lengths differ, or a row number is out of range.
        """
        given = {"user": user, "item": item, "weight": weight, "rating": rating, "timestamp": timestamp}
        given |= {"part": part, "context": context}
        columns: dict[str, Any] = {
            name: np.asarray(values, COLUMNS[name]) for name, values in given.items() if values is not None
        }
        n = len(columns["user"])
        if weight is None:
            columns["weight"] = default_weights(n, columns.get("rating"), positive_rating, low_rating_weight)
        for label, ids in (("user", user_ids), ("item", item_ids)):
            rows = columns[label]
            if len(rows) and (rows.min() < 0 or rows.max() >= len(ids)):
                raise DataError(f"{label} row numbers leave the range 0..{len(ids) - 1}")
        for label, table, ids in (("users", users, user_ids), ("items", items, item_ids)):
            if table is not None and len(table) != len(ids):
                raise DataError(f"the table of {label} has {len(table)} rows for {len(ids)} ids")
        for label, column in columns.items():
            if len(column) != n:
                raise DataError(f"{label} has {len(column)} values for {n} interactions")
        order = user_time_order(columns["user"], columns.get("timestamp"), len(user_ids))
        return cls(
            **{name: column[order] for name, column in columns.items()},
            user_ids=user_ids,
            item_ids=item_ids,
            users=pa.table({"user_id": user_ids.values}) if users is None else users,
            items=pa.table({"item_id": item_ids.values}) if items is None else items,
            contexts=contexts,
            rating_scale=rating_scale,
            positive_rating=positive_rating,
            name=name,
            part_rules=part_rules,
            report=report,
        )

    def __len__(self) -> int:
        return len(self.user)

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}: {self.n_users:,} users, {self.n_items:,} items, {len(self):,} interactions)"

    def _repr_html_(self) -> str:
        return self._display().html()

    def _display(self) -> Display:
        """Return its counts and the items with the most interactions."""
        first, last = self.days()
        times = f", {first} to {last}" if first else ""
        count = np.bincount(self.item, minlength=self.n_items)
        titles = self.titles()
        top = np.argsort(-count, kind="stable")[:MOST_SHOWN].tolist()
        rows = [[self.item_ids[row], titles[row], int(count[row])] for row in top]
        caption = f"{self.name}: {self.n_users:,} users, {self.n_items:,} items, {len(self):,} interactions{times}"
        return Display(caption, ("item_id", "title", "interactions"), rows, "the items with the most interactions")

    @property
    def n_users(self) -> int:
        """Number of users, with or without interactions."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Number of items, with or without interactions."""
        return len(self.item_ids)

    @property
    def context_names(self) -> list[str]:
        """The circumstances of interactions that are known, such as `device`."""
        return [] if self.contexts is None else list(self.contexts.column_names)

    def context_texts(self, name: str) -> Texts:
        """Return the values of one circumstance.

        Args:
            name: One of `context_names`.

        Returns:
            Texts of the rows of `contexts`, and behind the last an empty one, which row -1 is. `[n_contexts + 1]`
        """
        assert self.contexts is not None
        return np.array([*self.contexts[name].to_pylist(), ""], object)

    def days(self) -> tuple[str | None, str | None]:
        """Find the days of the oldest and of the newest interaction.

        Returns:
            Such as `("1997-09-20", "1998-04-22")`; None where nothing has a time.
        """
        if self.timestamp is None or not len(self):
            return None, None
        return _day(self.timestamp.min()), _day(self.timestamp.max())

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
            users: Ids or rows of users in any order, or a mask `[n_users]`; None for all users.

        Returns:
            A history for each user, empty for a user without interactions.

        Raises:
            DataError: If `users` are no row numbers of this dataset.
            UnknownId: If an id is not in it; the message names the nearest.
        """
        if users is None:
            return self._histories
        rows = self.user_ids.rows_of(users, "user")
        if len(rows) != 1 or "_histories" in vars(self):
            return self._histories.select(rows)
        # Of one user, without a table of all users: a history of all that comes before, then the user's own.
        ends = np.searchsorted(self.user, np.array([rows[0], rows[0] + 1], np.int32))
        before_and_own = np.concatenate([[0], ends]).astype(np.int64)
        return self._cut(before_and_own, np.array([-1, rows[0]], np.int32)).select(slice(1, 2))

    @cached_property
    def _histories(self) -> History:
        """The histories of all users, whose row starts are searched for once."""
        every = np.arange(self.n_users + 1, dtype=np.int32)
        return self._cut(np.searchsorted(self.user, every), every[:-1])

    def _cut(self, indptr: Int64, user: Int32) -> History:
        """Return the interactions cut into histories at `indptr`."""
        return History(
            indptr=indptr,
            item=self.item,
            weight=self.weight,
            n_items=self.n_items,
            user=user,
            rating=self.rating,
            timestamp=self.timestamp,
        )

    def matrix(self) -> sp.csr_matrix:
        """Make a sparse matrix of the weights above zero.

        Returns:
            float32 CSR `[n_users, n_items]`: the weights of repeated interactions are added up, columns are sorted.
        """
        return self.history().matrix()

    def pairs(self) -> Int64:
        """Encode the user and the item of each interaction as one number.

        Returns:
            user * n_items + item, `[n]`.
        """
        return self.user.astype(np.int64) * self.n_items + self.item

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

    def titles(self) -> Titles:
        """Return a name for each item to show to people: its title, or its id where it has none.

        Returns:
            `[n_items]` names, read from the table as they are needed.
        """
        column = next((c for c in TITLE_COLUMNS if c in self.items.column_names), None)
        return Titles(None if column is None else self.items[column], self.item_ids)

    def fingerprint(self) -> str:
        """Compute a digest of everything but the features and the name.

        Returns:
            32 hexadecimal digits, equal for equal data.
        """
        digest = hashlib.blake2b(digest_size=16)
        for name in COLUMNS:
            column = getattr(self, name)
            if column is not None or name != "context":  # which older data does not have
                digest.update(b"-" if column is None else np.ascontiguousarray(column).data)
        if not len(self):  # a column without rows has no bytes that tell it from one that is not there
            digest.update(repr([name for name in COLUMNS if getattr(self, name) is not None]).encode())
        digest.update(repr((self.rating_scale, self.positive_rating)).encode())
        digest.update(b"" if self.part_rules is None else repr(dataclasses.astuple(self.part_rules)).encode())
        for table in (
            pa.table({"id": self.user_ids.values}),
            pa.table({"id": self.item_ids.values}),
            self.users,
            self.items,
            *([] if self.contexts is None else [self.contexts]),
        ):
            for part in plain_bytes(table):
                digest.update(part)
        return digest.hexdigest()


def _day(seconds: int) -> str:
    """Return the day of a time."""
    return str(np.datetime64(int(seconds), "s").astype("datetime64[D]"))
