"""Follow: whom a user may want to follow, in data whose items are people. Reads tastes from the table of users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from genre.arrays import Float32, Int32, Int64
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.history import History
from genre.data.linear_algebra import unit_sparse_rows
from genre.data.words import split_categories
from genre.errors import DataError
from genre.log import Log
from genre.options import Doc, Ge, Search, nearest
from genre.recommenders.item_weights import HalfLife, ItemWeights
from genre.recommenders.reasons import Terms

TASTE, ITSELF = "taste", "itself"
"""Parts of a score: the first has words in `phrasebook.py`, the second moves users to the end of their own list."""


@dataclass(eq=False)
class Follow(ItemWeights):
    """A person scores by how many of those whom the user follows do so, and by the likeness of both tastes.

    The interactions are the edges: a user follows an item, and an item is a user, too. With d_w the number of people
    whom w follows, and x the tastes (what a person likes, rare things more: tf-idf, length one),

        score(u, v) = sum over w followed by u who follow v of  1 / log(1 + d_w)  +  taste_weight cosine(x_u, x_v)

    The first term is the index of Adamic and Adar, "Friends and neighbors on the Web", Social Networks 2003, which
    Liben-Nowell and Kleinberg, "The link-prediction problem for social networks", JASIST 2007, found among the best;
    `resource_allocation` divides by d_w (Zhou, Lü and Zhang 2009), `common` counts. Users are last in their own list.
    Those who follow no user that is known and have no taste get the most followed people.

    Example:
        Ann follows Ben and Cid, who both follow Dan.

        >>> import genre, pandas as pd
        >>> pairs = [("ann", "ben"), ("ann", "cid"), ("ben", "dan"), ("cid", "dan"), ("ben", "ann"), ("eve", "fay")]
        >>> data = genre.load(pd.DataFrame(pairs, columns=["user", "item"]))
        >>> genre.Follow().fit(data).recommend(data.history(["ann"]), k=1).ids()
        ['dan']
    """

    measure: Annotated[
        Literal["adamic_adar", "resource_allocation", "common"],
        Doc("What a path over w counts: 1 / log(1 + d_w), 1 / d_w, or 1, with d_w the people whom w follows."),
    ] = "adamic_adar"
    taste: Annotated[
        str | None, Doc("The column of the users table with what a user likes: lists, or a|b|c. None: without taste.")
    ] = None
    taste_weight: Annotated[
        float, Ge(0), Search(0.1, 10, log=True), Doc("What equal tastes add; a path over w counts at most 1.45.")
    ] = 1.0
    person: Annotated[
        str | None, Doc("The column of the users table with a user's id among the items. None: the same id.")
    ] = None
    history_half_life: HalfLife | None = None

    answers_empty: ClassVar[bool] = True
    learns: ClassVar[tuple[str, ...]] = ("item_weights_", "person_", "item_users_", "tastes_")
    scoring_options: ClassVar[tuple[str, ...]] = ("history_half_life", "taste_weight")

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        own = dataset.user_ids.values if self.person is None else self._field(dataset, self.person)
        self.person_ = dataset.item_ids.rows(own)  # [n_users]
        user, n_items = np.flatnonzero(self.person_ >= 0), dataset.n_items
        if not len(user):
            raise DataError(
                "follow: no item is a user; expected interactions of users with the users whom they follow, under one "
                "id, or the column of the users table with the ids that users have among the items (person)"
            )
        self.item_users_ = np.full(n_items, -1, np.int32)
        self.item_users_[self.person_[user[::-1]]] = user[::-1]  # of several users of one id the first
        edges = dataset.matrix().sign()  # [n_users, n_items]
        degree = np.diff(edges.indptr)
        one = {"common": np.ones_like(degree), "resource_allocation": degree, "adamic_adar": np.log1p(degree)}
        known = np.flatnonzero(self.item_users_ >= 0)
        place = np.ones(len(known), np.float32), (known, self.item_users_[known])
        paths = sp.csr_matrix(place, (n_items, dataset.n_users)) @ sp.diags(1 / np.maximum(one[self.measure], 1e-9))
        weights = sp.csr_matrix(paths @ edges, dtype=np.float32)
        weights.setdiag(0)
        weights.eliminate_zeros()
        self.item_weights_ = weights
        self.tastes_ = self._tastes(dataset)
        log.line(f"follow: {len(known):,} of {n_items:,} people are users whose own edges are known")

    def _field(self, dataset: Dataset, name: str) -> pa.ChunkedArray:
        """Return a column of the users table."""
        known = dataset.users.column_names
        if name not in known:
            raise DataError(f"follow: no field {name!r} of users{nearest(name, known)}; fields: {', '.join(known)}")
        return dataset.users[name]

    def _tastes(self, dataset: Dataset) -> sp.csr_matrix:
        """Return the tf-idf of what each user likes, rows of length one, `[n_users, n_things]`."""
        if self.taste is None:
            return sp.csr_matrix((dataset.n_users, 0), dtype=np.float32)
        lists = [split_categories(value) for value in self._field(dataset, self.taste).to_pylist()]
        things, column = np.unique([thing for some in lists for thing in some], return_inverse=True)
        indptr = np.concatenate([[0], np.cumsum([len(some) for some in lists])])
        held = sp.csr_matrix((np.ones(len(column), np.float32), column, indptr), (len(lists), len(things)))
        held.sum_duplicates()
        rarity = np.log(len(lists) / np.maximum(np.bincount(held.indices, minlength=len(things)), 1))
        return unit_sparse_rows(sp.csr_matrix(held.sign() @ sp.diags(rarity.astype(np.float32))))

    # --- scoring ----------------------------------------------------------------------------------

    def _likeness(self, history: History) -> Float32:
        """Return what the likeness of tastes adds, `[n, n_items]`."""
        row, user = self._known(history)
        theirs = self.tastes_[np.maximum(self.item_users_, 0)]  # [n_items, n_things]
        added = np.zeros((len(history), history.n_items), np.float32)
        added[row] = self.taste_weight * (self.tastes_[user] @ theirs.T).toarray() * (self.item_users_ >= 0)
        return added

    def _known(self, history: History) -> tuple[Int64, Int32]:
        """Return the rows of the histories of known users, and these users."""
        row = np.flatnonzero((history.user >= 0) & (history.user < len(self.person_)))
        return row, history.user[row]

    def _itself(self, history: History) -> tuple[Int64, Int32]:
        """Return the rows of the histories whose users are items, and these items."""
        row, user = self._known(history)
        item = self.person_[user]
        return row[item >= 0], item[item >= 0]

    def _parts(self, history: History) -> tuple[Float32, Float32, Float32]:
        """Return the scores by paths, by taste and by popularity, `[n, n_items]` each; zero for oneself."""
        paths, taste, itself = super()._score(history), self._likeness(history), self._itself(history)
        paths[itself] = taste[itself] = 0
        without = ~np.logical_or(paths.any(axis=1), taste.any(axis=1))
        popular = np.where(without[:, None], self.popularity_, np.float32(0))
        popular[itself] = 0
        return paths, taste, popular

    def _score(self, history: History) -> Float32:
        paths, taste, popular = self._parts(history)
        scores = np.asarray(paths + taste + popular, np.float32)
        scores[self._itself(history)] = -1  # below all others
        return scores

    def _terms(self, history: History, items: Int32) -> Terms:
        _, taste, popular = (part[0, items] for part in self._parts(history))
        itself = np.isin(items, self._itself(history)[1])
        paths = self._contributions(history, items) * ~itself[:, None]
        return Terms(paths, popular, {TASTE: taste, ITSELF: np.where(itself, np.float32(-1), 0)})

    def _popular(self, history: History, items: Int32) -> Float32:
        return self._terms(history, items).popular
