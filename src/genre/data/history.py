"""History: interactions of users, or of anonymous people, in the form that recommenders score.

Knows nothing about ids, tables, files or models.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from genre.arrays import Float32, Int32, Int64
from genre.data.context import Context
from genre.errors import DataError


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
        context: When and in which circumstances each list is wanted, or None. `[n]`

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
    context: Context | None = None

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
            return self._at(slice(bounds[0], bounds[-1]), bounds - bounds[0], slice(first, stop))
        picked = np.arange(len(self))[rows] if isinstance(rows, slice) else row_numbers(rows, len(self), "history")
        lengths = self.indptr[picked + 1] - self.indptr[picked]
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        position = np.arange(indptr[-1]) + np.repeat(self.indptr[picked] - indptr[:-1], lengths)
        return self._at(position, indptr, picked)

    def keep(self, mask: npt.NDArray[np.bool_]) -> History:
        """Keep the interactions where a mask is True; a history may become empty, none is dropped.

        Args:
            mask: Bool `[nnz]`.

        Returns:
            As many histories.
        """
        kept = np.concatenate([[0], np.cumsum(mask)])[self.indptr].astype(np.int64)
        return self._at(np.flatnonzero(mask), kept, slice(None))

    def last(self, n: int) -> History:
        """Keep the newest interactions of each history.

        Args:
            n: How many, at most.

        Returns:
            As many histories.
        """
        from_end = np.repeat(self.indptr[1:], self.lengths) - np.arange(len(self.item))
        return self.keep(from_end <= n)

    def within(self, n_items: int) -> History:
        """Leave out items that were added after the catalogue had `n_items`.

        Args:
            n_items: Number of items of the smaller catalogue.

        Returns:
            As many histories, over the smaller catalogue.
        """
        if self.n_items == n_items:
            return self
        return dataclasses.replace(self.keep(self.item < n_items), n_items=n_items)

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

    def in_context(self, context: Context | None = None, **values: str | int) -> History:
        """Say when and in which circumstances the lists are wanted.

        Args:
            context: The context of each history; None: `values`, for all histories.
            **values: Such as `hour=21` or `device="phone"`.

        Returns:
            The same histories in this context; recommenders that read none score them as before.
        """
        if context is None:
            texts = {name: np.full(len(self), str(value), object) for name, value in values.items()}
            context = Context(None if self.context is None else self.context.time, texts)
        return dataclasses.replace(self, context=context)

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

    def _at(self, position: Int64 | slice, indptr: Int64, rows: Int64 | slice) -> History:
        return History(
            indptr=indptr,
            item=self.item[position],
            weight=self.weight[position],
            n_items=self.n_items,
            user=self.user[rows],
            rating=None if self.rating is None else self.rating[position],
            timestamp=None if self.timestamp is None else self.timestamp[position],
            context=None if self.context is None else self.context.select(rows),
        )


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
