"""The lists that a recommender returns: arrays of row numbers, and a frame of ids, titles, scores and reasons.

Does not know how the items were chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from genre.arrays import Float32, Int32
from genre.data.dataset import Dataset
from genre.data.history import History
from genre.data.ids import Ids
from genre.data.titles import Titles
from genre.display import Display, counted
from genre.preprocessing.sources.frames import to_frame
from genre.recommenders.explaining import Explaining

MOST_SHOWN = 20  # rows of a notebook's table


@dataclass(frozen=True, eq=False, repr=False)
class Recommendations:
    """The best `k` items of each of `n` histories, best first.

    Attributes:
        item: Item rows, int32 `[n, k]`; -1 where nothing is left to recommend.
        score: Their scores, float32 `[n, k]`; -inf there.
        item_ids: The ids of all items.
        history: The histories they are for; None: they are for no history, such as similar items.
        recommender: Scored the histories and explains the scores; None: there are no reasons.
        dataset: Has the titles of items and the ids of users; None: titles are the ids.
    """

    item: Int32
    score: Float32
    item_ids: Ids
    history: History | None = None
    recommender: Explaining | None = None
    dataset: Dataset | None = None

    def __len__(self) -> int:
        return len(self.item)

    def __repr__(self) -> str:
        return f"Recommendations({counted(len(self), 'list')} of {self.item.shape[1]})"

    def __str__(self) -> str:
        return self._display().text()

    def _repr_html_(self) -> str:
        return self._display().html()

    def ids(self, row: int = 0) -> list[str]:
        """Return the item ids of one history, best first.

        Args:
            row: Number of the history.

        Returns:
            At most `k` ids.
        """
        found = self.item[row]
        return self.item_ids.take(found[found >= 0])

    def pairs(self, row: int = 0) -> list[tuple[str, float]]:
        """Return `(item_id, score)` of one history, best first.

        Args:
            row: Number of the history.

        Returns:
            At most `k` pairs.
        """
        return list(zip(self.ids(row), self.score[row].tolist(), strict=False))

    def to_frame(self, dataset: Dataset | None = None) -> Any:
        """Return the lists as one frame, a row an item, best first in each list.

        The columns are `user_id` (`list`, its number, where a list is no user's), `rank` from 1, `item_id`, `title`,
        `score` and, where the lists are for histories, `reason`.

        Args:
            dataset: Has titles and ids of users, for a recommender that was read from a folder; None: the data that
                the recommender was fitted on.

        Returns:
            A frame of the library that the data came in; else pandas, Polars or Arrow, whichever is installed.
        """
        known = dataset or self.dataset
        return to_frame(self._table(known, slice(None)), None if known is None else known.frame_library)

    def _table(self, dataset: Dataset | None, part: slice) -> pa.Table:
        """Return the columns of `to_frame` for some of the lists."""
        item, score = self.item[part], self.score[part]
        valid = item >= 0
        row, rank = np.nonzero(valid)
        found = item[valid]
        columns: dict[str, Any] = self._owners(dataset, row + (part.start or 0))
        columns |= {
            "rank": rank + 1,
            "item_id": self.item_ids.take(found),
            "title": self._titles(dataset, found),
            "score": score[valid],
        }
        if self.history is not None and self.recommender is not None and self._knows_items(dataset):
            columns["reason"] = self._reasons(dataset, part)
        return pa.table(columns)

    def _owners(self, dataset: Dataset | None, row: Any) -> dict[str, Any]:
        """Return the column that says whose each row is."""
        user = None if self.history is None else self.history.user
        if dataset is None or user is None or not len(user) or user.min() < 0 or user.max() >= dataset.n_users:
            return {"list": row}
        return {"user_id": dataset.user_ids.take(user[row])}

    def _knows_items(self, dataset: Dataset | None) -> bool:
        """Tell whether the rows of the items are those of the dataset; items added later have no title in it."""
        return dataset is not None and dataset.item_ids == self.item_ids

    def _titles(self, dataset: Dataset | None, found: Int32) -> list[str]:
        titles = dataset.titles() if dataset is not None and self._knows_items(dataset) else Titles(None, self.item_ids)
        return [titles[row] for row in found.tolist()]

    def _reasons(self, dataset: Dataset | None, part: slice) -> list[str]:
        assert dataset is not None
        assert self.history is not None
        assert self.recommender is not None
        return sentences_of_lists(
            self.recommender, self.history.select(part), self.item[part], self.score[part], dataset
        )

    def _display(self) -> Display:
        """Return the first rows with their titles."""
        lists = slice(0, max(1, MOST_SHOWN // max(self.item.shape[1], 1)))
        table = self._table(self.dataset, lists).slice(0, MOST_SHOWN)
        rows = [list(row.values()) for row in table.to_pylist()]
        left = int((self.item >= 0).sum()) - len(rows)
        note = f"{counted(left, 'more row')}; `to_frame()` has them all" if left else ""
        return Display(f"{counted(len(self), 'list')}, best first", table.column_names, rows, note)


def sentences_of_lists(
    recommender: Explaining, history: History, item: Int32, score: Float32, dataset: Dataset
) -> list[str]:
    """Word the reason for each item of each list by the template.

    Args:
        recommender: The recommender whose lists they are.
        history: `n` histories.
        item: Item rows `[n, k]`; -1 where a list ends.
        score: Their scores `[n, k]`.
        dataset: Has the titles of the items.

    Returns:
        The sentences of all lists, one after another.
    """
    from genre.recommenders.wording import Wording

    wording, out = Wording(), list[str]()
    for row in range(len(history)):
        there = item[row] >= 0
        one = history.select(slice(row, row + 1))
        explained = recommender.explain(one, item[row][there], scores=score[row][there])
        out += wording.sentences(explained, dataset)
    return out
