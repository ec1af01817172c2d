"""The contract of every algorithm: learn from a Dataset, score histories. All else comes free from here.

A new algorithm is a dataclass with `_fit` and `_score`; options are its fields and stay as given, learnt
values are attributes that end in `_`. It scores histories, not user numbers: a user unknown at training time,
an anonymous basket and a history of one minute ago are the same call.
"""

from __future__ import annotations

import copy
import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from genre import storage
from genre.arrays import Float32, Int32
from genre.data.dataset import Dataset, History
from genre.data.folds import Fold
from genre.data.ids import Ids
from genre.errors import ArtifactError, DataError, NotFitted, NotSupported
from genre.kinds import REMEDY, check_learnt, saved_class
from genre.llm.base import LanguageModel
from genre.llm.budget import Budget
from genre.llm.options import LLMOptions
from genre.log import SILENT, Log
from genre.options import DEFAULT_K, check_options
from genre.recommenders.explanation import REORDERING, Explanation, Method, Terms
from genre.recommenders.saving import _flatten, _unflatten
from genre.recommenders.topk import top_k_factors, top_k_scores

BLOCK_VALUES = 8_000_000  # scores held at once: 32 MB
NESTED = LanguageModel, LLMOptions, Budget  # options that have options of their own, beside recommenders


@dataclass(frozen=True, eq=False)
class Recommendations:
    """The best `k` items of each of `n` histories, best first.

    item: int32 `[n, k]`, -1 where nothing is left to recommend. score: float32 `[n, k]`, -inf there.
    """

    item: Int32
    score: Float32
    item_ids: Ids

    def __len__(self) -> int:
        return len(self.item)

    def ids(self, row: int = 0) -> list[str]:
        """Outside ids of one row, best first."""
        found = self.item[row]
        return self.item_ids.take(found[found >= 0])

    def pairs(self, row: int = 0) -> list[tuple[str, float]]:
        """`(item_id, score)` of one row, best first."""
        return list(zip(self.ids(row), self.score[row].tolist(), strict=False))


class Recommender(ABC):
    """Base of all: implement `_fit` and `_score`; override the rest where the algorithm knows better."""

    explains: ClassVar[Method] = "occlusion"
    extends: ClassVar[str] = "yes"  # what it takes to place new items, where the class can
    answers_empty: ClassVar[bool] = False  # knows better than popularity what to say to an empty history
    learns: ClassVar[tuple[str, ...]] = ("item_ids_", "popularity_")  # learnt values without which none loads

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
    ) -> Self:
        """Learn from `dataset`; `validation` serves early stopping and weights where an algorithm has them.

        checkpoint: a folder where long training keeps its place; the same fit, started again, goes on from there.
        Raises DataError when the data lacks what the algorithm needs.
        """
        if len(dataset) == 0:
            raise DataError(f"{type(self).__name__}: nothing to learn from, the training part has no interactions")
        self.item_ids_ = dataset.item_ids
        self.popularity_ = np.bincount(dataset.item, dataset.weight, dataset.n_items).astype(np.float32)  # [n_items]
        self._checkpoint = checkpoint
        self._fit(dataset, validation, log)
        return self

    @abstractmethod
    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        """Set the learnt values."""

    # --- scoring ----------------------------------------------------------------------------------

    def score(self, history: History) -> Float32:
        """A score for every item, higher is better, finite. float32 `[n, n_items]`.

        An empty history is legal: it gets the popularity of each item, unless the class `answers_empty` itself.
        """
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
        """`(queries [n, dim], items [n_items, dim])` when every score is their dot product, else None."""
        if not self.answers_empty and (history.lengths == 0).any():
            return None
        return self._factors(history)

    @abstractmethod
    def _score(self, history: History) -> Float32: ...

    def predict(self, history: History, row: Int32, item: Int32) -> Float32:
        """The rating that history `row[j]` would give `item[j]`, on the rating scale. float32 `[n_pairs]`."""
        raise NotSupported(f"{type(self).__name__} ranks items; it does not predict ratings")

    def _factors(self, history: History) -> tuple[Float32, Float32] | None:
        """What `as_factors` returns for histories that are not empty: the fast path of an algorithm that has one."""
        return None

    def recommend(
        self,
        history: History | Sequence[str],
        *,
        k: int = DEFAULT_K,
        exclude_seen: bool = True,
        candidates: npt.NDArray[np.bool_] | None = None,
    ) -> Recommendations:
        """The best `k` items for each history, or for one history given as outside item ids.

        exclude_seen: leave out what the history holds. candidates: bool `[n_items]`, the only items allowed.
        `k` above the catalogue is the whole catalogue. Ties go to the lower row number.
        """
        asked = history if isinstance(history, History) else self.history_of(history)
        self._check(asked)
        if k < 1:
            raise DataError(f"k is {k}; ask for at least one item")
        k = min(k, asked.n_items)
        item = np.full((len(asked), k), -1, np.int32)
        score = np.full((len(asked), k), -np.inf, np.float32)
        for rows, block in asked.blocks(max(1, BLOCK_VALUES // max(asked.n_items, 1))):
            seen = (block.indptr, block.item) if exclude_seen else None
            factors = self.as_factors(block)
            if factors is not None:
                item[rows], score[rows] = top_k_factors(*factors, k, seen=seen, candidates=candidates)
            else:
                item[rows], score[rows] = top_k_scores(self.score(block), k, seen=seen, candidates=candidates)
        return Recommendations(item, score, self.item_ids_)

    def history_of(self, item_ids: Sequence[str]) -> History:
        """One anonymous history from outside ids, oldest first; UnknownId for an id not in the catalogue."""
        self._fitted()
        return History.of([[self.item_ids_.row(item_id) for item_id in item_ids]], len(self.item_ids_))

    def similar_items(self, items: Int32, *, k: int = DEFAULT_K) -> Recommendations:
        """The `k` items nearest to each item row: those to whose scores having seen that item alone adds most.

        What an item gets anyway, its popularity, does not count; -1 where nothing else speaks for another item.
        """
        self._fitted()
        n_items = len(self.item_ids_)
        histories, every = History.of([[int(item)] for item in items], n_items), np.arange(n_items, dtype=np.int32)
        added = np.empty((len(items), n_items), np.float32)
        for row in range(len(items)):
            added[row] = self.contributions(histories.select([row]), every)[:, 0]
        found, share = top_k_scores(added, min(k, n_items), seen=(histories.indptr, histories.item))
        speaks = share > 0
        return Recommendations(np.where(speaks, found, -1), np.where(speaks, share, -np.inf), self.item_ids_)

    # --- growing ----------------------------------------------------------------------------------

    def extend(self, item_ids: Sequence[str], item_features: Float32) -> Self:
        """A copy that also scores items nobody has touched: they become the rows after the last one.

        item_features: float32 `[n_new, dim]`, made by the encoder that made `dataset.item_features`. Histories for the
        copy count the grown catalogue. Raises NotSupported where the algorithm cannot place an item by its features,
        DataError for an id that is known already or features that do not fit.
        """
        self._fitted()
        features = np.asarray(item_features, np.float32)
        if features.ndim != 2 or len(features) != len(item_ids):
            raise DataError(f"{len(item_ids)} new items need features [{len(item_ids)}, dim], found {features.shape}")
        grown = copy.copy(self)  # learnt values are replaced, never changed in place
        grown.item_ids_ = self.item_ids_.append(item_ids)
        grown.popularity_ = np.append(self.popularity_, np.zeros(len(item_ids), np.float32))
        grown._extend(features)
        return grown

    def _extend(self, features: Float32) -> None:
        """Grow the learnt values by the rows of `features`, leaving the shared arrays untouched."""
        raise NotSupported(f"{type(self).__name__} cannot place an item that nobody has touched; fit it again")

    # --- explaining -------------------------------------------------------------------------------

    def explain(self, history: History, items: Int32, *, scores: Float32 | None = None) -> list[Explanation]:
        """Evidence for each of `items` `[m]` given the one history in `history`.

        scores: those that `recommend` gave them, so that nothing is scored, and no language model asked, again. [m]
        """
        shares, popular, parts = self.terms(history, items)
        plain = self.without_llm()
        scores = self.score(history)[0, items] if scores is None else scores
        if plain is not self:
            parts = {**parts, REORDERING: scores - plain.score(history)[0, items]}
        disliked = frozenset(history.item.tolist()) - frozenset(history.item[history.weight > 0].tolist())
        out = []
        for at, (item, share) in enumerate(zip(items, shares, strict=True)):
            order = np.argsort(-share, kind="stable")
            out.append(
                Explanation(
                    item=int(item),
                    score=float(scores[at]),
                    method=self.evidence,
                    history=tuple((int(history.item[one]), float(share[one])) for one in order if share[one] != 0),
                    popular=float(popular[at]),
                    parts={name: float(part[at]) for name, part in parts.items() if part[at] != 0},
                    disliked=disliked,
                )
            )
        return out

    @property
    def evidence(self) -> Method:
        """How `explain` comes by its numbers: what the class says of itself, unless members decide."""
        return self.explains

    def terms(self, history: History, items: Int32) -> Terms:
        """What the score of each of `items` `[m]` is a sum of, for the one history."""
        self._check(history)
        if len(history) != 1:
            raise DataError(f"the terms of a score are those of one history, found {len(history)}")
        items, freed = np.asarray(items, np.int32), self.without_llm()
        if freed._falls_back(history):
            return Terms(np.zeros((len(items), 0), np.float32), freed.popularity_[items], {})
        return freed._terms(history, items)

    def _terms(self, history: History, items: Int32) -> Terms:
        return Terms(self._contributions(history, items), self._popular(history, items), {})

    def _falls_back(self, history: History) -> bool:
        """Whether the scores of the one history are plain popularity, because it is empty."""
        return len(history.item) == 0 and not self.answers_empty

    def contributions(self, history: History, items: Int32) -> Float32:
        """What each interaction of the one history adds to the score of each of `items` `[m]`. float32 `[m, length]`.

        Exact terms of the score or the fall without the interaction, as `evidence` says.
        """
        return self.terms(history, items).history

    def popular(self, history: History, items: Int32) -> Float32:
        """The part of the score of each of `items` `[m]` that is its popularity, whatever the one history holds. [m]"""
        self._check(history)
        items, freed = np.asarray(items, np.int32), self.without_llm()
        if freed._falls_back(history):
            return freed.popularity_[items]
        return freed._popular(history, items)

    def _popular(self, history: History, items: Int32) -> Float32:
        return self.score(history)[0, items] if self.explains == "popularity" else np.zeros(len(items), np.float32)

    def _contributions(self, history: History, items: Int32) -> Float32:
        """What each interaction adds to each item's score: by default the fall without it. [m, length]"""
        length = len(history.item)
        if length == 0:
            return np.zeros((len(items), 0), np.float32)
        without = history.select(np.zeros(length, np.int64))  # `length` copies of the one history
        kept = without.keep(~np.eye(length, dtype=bool).ravel())
        whole = self._score(history)[0, items]
        parts = [self._score(block)[:, items] for _, block in kept.blocks(max(1, BLOCK_VALUES // history.n_items))]
        return np.asarray(whole[:, None] - np.concatenate(parts).T, np.float32)

    def _query_terms(self, history: History) -> Float32:
        """What each interaction of the one history adds to its query (`_factors`), where a query is such a sum.

        float32 `[length, dim]`. A wrapper that has item factors of its own explains its scores exactly by these.
        """
        raise NotSupported(f"{type(self).__name__}: its queries are no sums over a history")

    def sums_queries(self) -> bool:
        """Whether `_query_terms` is known."""
        return type(self)._query_terms is not Recommender._query_terms

    def without_llm(self) -> Recommender:
        """The same without the language models that are asked while it scores; itself where none is.

        Evidence is taken from this one: to ask why costs nothing.
        """
        members = {name: value for name, value in self._state().items() if _is_members(value)}
        freed = {name: tuple(one.without_llm() for one in value) for name, value in members.items()}
        if all(new is old for name in members for new, old in zip(freed[name], members[name], strict=True)):
            return self
        other = copy.copy(self)
        other._restore(freed)
        return other

    # --- saving -----------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> None:
        """Write `options.json` and `state.safetensors` with their hashes; whole or not at all.

        Recommenders among the learnt values get a sub-folder each.
        """
        self._fitted()
        with storage.publish(Path(folder)) as aside:
            storage.write_json(aside / "options.json", _to_json(self))
            state = self._state()
            members = {name: value for name, value in state.items() if _is_members(value)}
            for name, models in members.items():
                for at, model in enumerate(models):
                    model.save(aside / name / str(at))
            tensors, plain = _flatten({name: value for name, value in state.items() if name not in members})
            plain |= {name: {"members": len(models)} for name, models in members.items()}
            storage.write_json(aside / "state.json", plain)
            storage.write_tensors(aside / "state.safetensors", tensors)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote; ArtifactError when anything in it was lost, changed or is of another class.

        `Recommender.load` reads whatever class was saved, `EASE.load` an EASE. A class that is not built in has to be
        imported before: a folder alone never makes code run.
        """
        path = Path(folder)
        storage.read_manifest(path)
        options = storage.read_json(path / "options.json")
        try:
            made = _from_json(options, path)
            if not isinstance(made, cls):
                raise ArtifactError(f"{path}: not a saved {cls.__name__}")
            plain = storage.read_json(path / "state.json")
            state = _unflatten(storage.read_tensors(path / "state.safetensors"), plain)
            for name, value in plain.items():
                if "members" in value:
                    state[name] = tuple(Recommender.load(path / name / str(at)) for at in range(value["members"]))
            check_learnt(path, type(made), state)
            made._restore(state)
        except (TypeError, KeyError, ValueError, IndexError, AttributeError, ImportError, DataError) as error:
            raise ArtifactError(f"{path}: does not fit this version of {cls.__name__} ({error}); {REMEDY}") from error
        return made

    def _options(self) -> dict[str, Any]:
        """The options as JSON values."""
        return {f.name: _to_json(getattr(self, f.name)) for f in dataclasses.fields(self) if f.init}  # type: ignore[arg-type]

    def _state(self) -> dict[str, Any]:
        """The learnt values by name: arrays, dicts of arrays, CSR matrices, Ids, lists of texts, numbers, texts."""
        return {name: value for name, value in vars(self).items() if name.endswith("_") and not name.startswith("_")}

    def _restore(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)

    # --- what it can do ---------------------------------------------------------------------------

    @classmethod
    def capabilities(cls) -> dict[str, bool | str]:
        """What this class can do, read off its code."""
        return {
            "ratings": cls.predict is not Recommender.predict,
            "factors": cls._factors is not Recommender._factors,
            "new_items": cls._extend is not Recommender._extend and cls.extends,
            "explains": cls.explains if cls.evidence is Recommender.evidence else "as its members",
        }

    def _fitted(self) -> None:
        if not hasattr(self, "item_ids_"):
            raise NotFitted(f"{type(self).__name__} has learnt nothing yet; call fit(dataset) or load(folder) first")

    def _check(self, history: History) -> None:
        self._fitted()
        if history.n_items != len(self.item_ids_):
            raise DataError(
                f"{type(self).__name__} knows {len(self.item_ids_)} items, the histories count {history.n_items}"
            )


def within(recommender: Recommender) -> Iterator[Recommender]:
    """The recommender and all those inside it, among its options and its learnt values, wherever they stand."""
    yield recommender
    for value in vars(recommender).values():
        for inner in value if isinstance(value, tuple) else (value,):
            if isinstance(inner, Recommender):
                yield from within(inner)


def _to_json(value: Any) -> Any:
    """An option as plain JSON: what has options of its own is its class and its options."""
    if isinstance(value, (Recommender, *NESTED)):
        options = {f.name: _to_json(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}  # type: ignore[arg-type]
        return {"class": f"{type(value).__module__}:{type(value).__qualname__}", **options}
    return [_to_json(item) for item in value] if isinstance(value, (tuple, list)) else value


def _from_json(value: Any, folder: Path) -> Any:
    if isinstance(value, list):
        return tuple(_from_json(item, folder) for item in value)
    if not (isinstance(value, dict) and "class" in value):
        return value
    cls = saved_class(folder, value["class"], Recommender, *NESTED)
    return cls(**{key: _from_json(item, folder) for key, item in value.items() if key != "class"})


def _is_members(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(item, Recommender) for item in value)
