"""The contract of every recommender: learn from a Dataset, score histories.

A new algorithm is a dataclass with `_fit` and `_score`, or `_factors` where scores are dot products. Options are its
fields and stay as given; learnt values are attributes whose names end in `_`. It scores histories, not user numbers: a
user unknown at training time, an anonymous basket and a history of one minute ago are the same call.

Lists, explanations, saving and adding items are inherited from `listing.py`, `explaining.py`, `saving.py` and
`extending.py`.
"""

from __future__ import annotations

import copy
import dataclasses
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from genre.arrays import Float32, Int32
from genre.data.after_split import apply_part_rules
from genre.data.dataset import Dataset
from genre.data.folds import Fold
from genre.data.history import History
from genre.errors import DataError, NotSupported
from genre.llm.base import LanguageModel
from genre.llm.budget import Budget
from genre.llm.settings import LLMOptions
from genre.log import SILENT, Log
from genre.options import check_names, check_options
from genre.recommenders.extending import Extending
from genre.recommenders.listing import Listing
from genre.recommenders.saving import Saving, is_members
from genre.threads import blas_threads

LARGEST_WEIGHT = 1e12
"""Products of two such weights, summed over ten billion interactions, are finite in float32."""


class Recommender(Saving, Listing, Extending):
    """The base of all algorithms: `_fit` and one of `_score` and `_factors` are theirs, the rest is inherited.

    Example:
        Users of the toy data like either even or odd items.

        >>> import genre
        >>> from genre.testing import toy_dataset
        >>> model = genre.ItemKNN(neighbours=5).fit(toy_dataset())
        >>> sorted(model.recommend(["i0", "i2"], k=4).ids())
        ['i10', 'i4', 'i6', 'i8']
    """

    takes_start: ClassVar[bool] = False  # whether `fit` can start from the weights of a fitted one
    scoring_options: ClassVar[tuple[str, ...]] = ()  # those that `fit` ignores: a fitted model takes other values

    _start: Recommender | None = None  # during `fit` alone
    _reusable: Any = None  # during `fit` alone: what is fitted already (`reusing.py`)

    def __new__(cls, *args: Any, **options: Any) -> Self:
        """Make the object, once every option that is given by name is one of the class.

        Args:
            *args: Options by place.
            **options: Options by name.

        Raises:
            OptionError: The class has no such option; the message names the nearest.
        """
        if "__dataclass_fields__" in vars(cls):  # else its __init__ is its own
            check_names(cls, options)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        check_options(self)

    # --- learning ---------------------------------------------------------------------------------

    def fit(
        self,
        dataset: Dataset,
        *,
        validation: Fold | None = None,
        checkpoint: Path | None = None,
        log: Log = SILENT,
        start: Recommender | None = None,
    ) -> Self:
        """Learn from the interactions of `dataset`.

        Args:
            dataset: The training part.
            validation: Held-out interactions for early stopping or for the weights of a blend, where an algorithm uses
                them.
            checkpoint: A folder where long training saves its progress; the same fit continues from there.
            log: Where progress is shown.
            start: A fitted one of the same class, from whose weights a network is trained on (`takes_start`).

        Returns:
            The recommender itself.

        Raises:
            NotSupported: If the algorithm has no weights to start from.
            DataError: If the data lacks what the algorithm needs, or a weight is too large to compute with.
        """
        if not isinstance(dataset, Dataset):
            raise DataError(
                f"{type(self).__name__}: found a {type(dataset).__name__}; fit learns from a Dataset, such as "
                "genre.load(table) or genre.split(dataset).train"
            )
        if len(dataset) == 0:
            raise DataError(f"{type(self).__name__}: nothing to learn from, the training part has no interactions")
        if start is not None and not (self.takes_start and type(start) is type(self)):
            raise NotSupported(
                f"{type(self).__name__} cannot start from a fitted {type(start).__name__}; a network can, of its class"
            )
        dataset = apply_part_rules(dataset)
        check_weights(dataset.weight)
        self.item_ids_ = dataset.item_ids
        self._names = _names_of(dataset)
        self.popularity_ = np.bincount(dataset.item, dataset.weight, dataset.n_items).astype(np.float32)  # [n_items]
        self._checkpoint, self._index, self._start = checkpoint, None, start
        with blas_threads():
            self._fit(dataset, validation, log)
        self._start = None  # a fitted recommender keeps no other one
        return self

    @abstractmethod
    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        """Set the learnt values."""

    def chosen(self) -> Self:
        """Return the recommender, not fitted, with what the validation part chose as its options.

        It learns the same way from other data without a validation part: a blend keeps its weights, a network trains
        for as many epochs as were kept.

        Returns:
            A new recommender.

        Raises:
            NotFitted: Before `fit` or `load`.
        """
        self._fitted()
        return dataclasses.replace(self, **self._chosen())  # type: ignore[type-var]  # every recommender is a dataclass

    def _chosen(self) -> dict[str, Any]:
        """Return the options that the validation part chose, where the class chooses any."""
        return {}

    def members(self) -> tuple[Recommender, ...]:
        """Return the recommenders inside that learn from the same data as this one.

        Returns:
            The members of a blend or the first stage, fitted once this one is; empty for all others.
        """
        return ()

    # --- scoring ----------------------------------------------------------------------------------

    def known_items(self) -> npt.NDArray[np.bool_] | None:
        """Return the items that the scores say something of; a blend leaves the others to its other members.

        Returns:
            bool `[n_items]`, or None for all items.
        """
        return None

    def score(self, history: History | Sequence[str]) -> Float32:
        """Return a score for every item; higher is better.

        An empty history gets the popularity of each item, unless the class scores it itself (`answers_empty`).

        Args:
            history: `n` histories over the catalogue of `fit`, or one history as item ids, oldest first.

        Returns:
            Finite scores, float32 `[n, n_items]`.

        Raises:
            NotFitted: Before `fit` or `load`.
            DataError: If the histories count another catalogue.
            UnknownId: If an item id is not in the catalogue.
        """
        history = self._histories(history)
        self._check(history)
        scores = self._score(history)
        if np.shape(scores) != (len(history), history.n_items):
            raise DataError(
                f"{type(self).__name__}: scores have the shape {list(np.shape(scores))}, expected [{len(history)}, "
                f"{history.n_items}]; return a row for each history and a column for each item from _score"
            )
        empty = history.lengths == 0
        if empty.any() and not self.answers_empty:
            scores[empty] = self.popularity_
        return scores

    def as_factors(self, history: History) -> tuple[Float32, Float32] | None:
        """Return queries and item factors whose dot products are the scores, if the algorithm has them.

        Args:
            history: `n` histories over the catalogue of `fit`.

        Returns:
            `(queries [n, dim], items [n_items, dim])`, or None where scores are no such products.
        """
        if not self.answers_empty and (history.lengths == 0).any():
            return None
        return self._factors(history)

    def predict(self, history: History, row: Int32, item: Int32) -> Float32:
        """Return the rating that history `row[j]` would give `item[j]`.

        Args:
            history: `n` histories over the catalogue of `fit`.
            row: Numbers of histories `[n_pairs]`.
            item: Item rows `[n_pairs]`.

        Returns:
            Ratings on the rating scale, float32 `[n_pairs]`.

        Raises:
            NotSupported: If the algorithm ranks items only.
        """
        raise NotSupported(f"{type(self).__name__} ranks items; it does not predict ratings")

    def history_of(self, item_ids: Sequence[str]) -> History:
        """Return one anonymous history.

        Args:
            item_ids: Item ids, oldest first.

        Returns:
            A batch of one history.

        Raises:
            UnknownId: If an id is not in the catalogue.
            DataError: If the ids are a single text, not a list.
        """
        self._fitted()
        if isinstance(item_ids, str | bytes):
            raise DataError(f"found the text {item_ids!r}; expected a list of item ids: [{item_ids!r}]")
        return History.of([[self.item_ids_.row(item_id) for item_id in item_ids]], len(self.item_ids_))

    def _histories(self, history: History | Sequence[str]) -> History:
        """Return histories as they are, and item ids as one history."""
        return self.history_of(history) if isinstance(history, (str, bytes, Sequence, np.ndarray)) else history

    def _score(self, history: History) -> Float32:
        """Return the scores of histories that are not empty, by default the dot products of `_factors`."""
        factors = self._factors(history)
        if factors is None:
            raise TypeError(f"{type(self).__name__}: implement _score, or _factors where scores are dot products")
        queries, items = factors  # [n, dim], [n_items, dim]
        return np.asarray(queries @ items.T, np.float32)  # [n, n_items]

    def _score_items(self, history: History, items: Int32) -> Float32:
        factors = self._factors(history)
        if factors is None:
            return super()._score_items(history, items)
        queries, table = factors
        return np.asarray(queries @ table[items].T, np.float32)  # [n, m]

    def _factors(self, history: History) -> tuple[Float32, Float32] | None:
        """Return `as_factors` of histories that are not empty, or None where scores are not dot products."""
        return None

    @override
    def without_llm(self) -> Recommender:
        members = {name: value for name, value in self._state().items() if is_members(value)}
        without = {name: tuple(one.without_llm() for one in value) for name, value in members.items()}
        if all(new is old for name in members for new, old in zip(without[name], members[name], strict=True)):
            return self
        other = copy.copy(self)
        for name, value in without.items():
            setattr(other, name, value)
        return other

    # --- what it can do ---------------------------------------------------------------------------

    @classmethod
    def capabilities(cls) -> dict[str, bool | str]:
        """Return what the class can do, read off the methods that it implements.

        Returns:
            `ratings`, `factors`, `new_items` (False, or the condition for it) and `explains`.
        """
        return {
            "ratings": cls.predict is not Recommender.predict,
            "factors": cls._factors is not Recommender._factors,
            "new_items": cls._extend is not Recommender._extend and cls.extends_when,
            "explains": cls.explains if cls.evidence is Recommender.evidence else "as its members",
        }

    @classmethod
    def _saved_classes(cls) -> tuple[type[Any], ...]:
        return Recommender, LanguageModel, LLMOptions, Budget

    def _check(self, history: History) -> None:
        """Raise where nothing is learnt yet or these are no histories over its catalogue."""
        self._fitted()
        if not isinstance(history, History):
            raise DataError(
                f"found a {type(history).__name__}; expected a History, such as dataset.history([0]), or "
                "a list of item ids"
            )
        if history.n_items != len(self.item_ids_):
            raise DataError(
                f"{type(self).__name__} knows {len(self.item_ids_)} items, the histories count {history.n_items}"
            )
        check_weights(history.weight)


def _names_of(dataset: Dataset) -> Dataset:
    """Return what is shown of users and items: the dataset without interactions and vectors, its tables shared."""
    none = dataset.where(np.zeros(len(dataset), bool))
    return dataclasses.replace(none, item_features=None, user_features=None, report=None)


def check_weights(weight: Float32) -> None:
    """Refuse weights whose sums of products would not be finite in float32.

    Args:
        weight: Weights of interactions `[n]`.

    Raises:
        DataError: A weight is below zero, not finite, or above `LARGEST_WEIGHT`.
    """
    if len(weight) and not (weight.min() >= 0 and weight.max() <= LARGEST_WEIGHT):  # false for NaN, too
        wrong = weight[~((weight >= 0) & (weight <= LARGEST_WEIGHT))][0]
        raise DataError(
            f"found an interaction of weight {wrong:g}; expected 0 to {LARGEST_WEIGHT:g}; divide the weights, or let "
            "every one count alike with weights: equal in the cleaning"
        )


def within(recommender: Recommender) -> Iterator[Recommender]:
    """Yield the recommender and all recommenders inside it, among options and learnt values, at any depth.

    Args:
        recommender: The outermost one.

    Yields:
        Each recommender.
    """
    yield recommender
    for value in vars(recommender).values():
        for inner in value if isinstance(value, tuple) else (value,):
            if isinstance(inner, Recommender):
                yield from within(inner)
