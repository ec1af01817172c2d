"""Ranker: a learnt second stage. It scores the best candidates of a blend anew, by features of history and candidate.

Its features are in `candidate_features.py`, its network in `candidate_network.py`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from genre.arrays import Float32, Int32
from genre.data.dataset import Dataset
from genre.data.folds import Fold, hold_out_last
from genre.data.history import History
from genre.data.linear_algebra import divide_by_std, row_std, unit_rows
from genre.errors import DataError
from genre.log import Log
from genre.options import Doc, Ge, Gt, Search
from genre.recommenders.base import Recommender, within
from genre.recommenders.blend import Blend
from genre.recommenders.candidate_features import GROUPS, POPULARITY, Counts, candidate_features, count
from genre.recommenders.candidate_network import CandidateNetwork, Examples, Training, train_network
from genre.recommenders.context_features import ContextCounts
from genre.recommenders.reasons import Terms
from genre.recommenders.reusing import Reusable
from genre.recommenders.second_stage import SecondStage
from genre.recommenders.shared_words import SharedWords
from genre.recommenders.topk import SCORES_AT_ONCE, top_k_scores

BELOW = "below"  # the part of an explanation that moves items below the candidates
SEEDS = 1_000_003  # apart, so that networks of neighbouring seeds differ
MARGIN = 1e-3  # between the last candidate and the next item
BLOCK = 256  # histories whose candidates are scored at once
REMEDY = "a ranker learns from the last item of each history; leave it out, or give it more interactions"
COUNTS = tuple(field.name for field in dataclasses.fields(Counts) if field.name != "contexts")
CONTEXTS = tuple(f"context_{name}" for name in ContextCounts._fields)


class CandidateBatch(NamedTuple):
    """The best items of the first stage for `n` histories.

    Attributes:
        first: its scores. float32 `[n, n_items]`
        items: the best, best first, -1 for padding. int32 `[n, k]`
        base: their scores, -inf for padding. float32 `[n, k]`
        names: of the features
        features: `[n, k, n_features]`
    """

    first: Float32
    items: Int32
    base: Float32
    names: list[str]
    features: Float32


@dataclass(eq=False)
class Ranker(SecondStage):
    """The best `candidates` of a first stage, scored anew by a small network that reads what is known of each.

    It learns from training data alone. The last liked item of each history is taken away and becomes the target, with
    what was liked at the same time, since a list is made before a basket, not within it. The first stage is fitted on
    what is left, so that no feature has seen a target; the network learns to put the target first among the candidates
    of the shortened history (softmax cross-entropy; histories whose target is no candidate teach nothing). Then the
    first stage is fitted on everything, and features come from that one. The network starts as the first stage itself,
    a = 1 and f = 0 in

        score(history, candidate) = a * first(history, candidate) + f(features),

    so it moves away from it only where that helps. What it can gain depends on the data: put it beside its own first
    stage under `recommenders`, and the validation part chooses between the two. Below the candidates the order of the
    first stage stays.

    Explanations are the terms of the first stage, times a, and parts that the features add: what came after the newest
    items (order), what the same users have (together), texts (text), the members' lists (lists), the circumstances of
    the request (context), and popularity. With `hidden: 0` they are exact terms of a linear score; else integrated
    gradients, which add up to it.

    Where the data are impressions, `learn_from: impressions` has it tell the last item from what was shown with it and
    not taken, in place of the best of the first stage.

    With `context` it learns in the circumstances of each last item, and scores in those of the request
    (`History.in_context`); what a request does not say counts neither for nor against a candidate.

    Example:
        >>> import genre
        >>> from genre.testing import toy_dataset
        >>> first = genre.Blend((genre.ItemKNN(), genre.Content()))
        >>> model = genre.Ranker(first, epochs=2).fit(toy_dataset())
        >>> model.recommend(["i0", "i2"], k=1).ids()[0] in ("i4", "i6", "i8", "i10")  # even items, as in the history
        True
    """

    candidates: Annotated[int, Ge(2), Doc("Items of the first stage that are scored anew.")] = 200
    hidden: Annotated[
        int, Ge(0), Search(8, 64, log=True), Doc("Hidden units of the network; 0: a linear sum of the features.")
    ] = 32
    networks: Annotated[int, Ge(1), Doc("Networks of different seeds whose scores are averaged.")] = 2
    epochs: Annotated[int, Ge(1), Search(5, 50, log=True), Doc("Passes over the histories learnt from.")] = 25
    learning_rate: Annotated[
        float, Gt(0), Search(5e-4, 1e-2, log=True), Doc("The first step size; it falls to zero.")
    ] = 3e-3
    weight_decay: Annotated[float, Ge(0), Doc("Pull of the weights towards zero.")] = 1e-4
    batch_size: Annotated[int, Ge(1), Doc("Histories in a training step.")] = 128
    histories: Annotated[int, Ge(1), Doc("Histories to learn from, at most, drawn at random.")] = 30_000
    exclude_seen: Annotated[
        bool, Doc("Candidates are items that the history lacks; false where users repeat items.")
    ] = True
    learn_from: Annotated[
        Literal["lists", "impressions"],
        Doc("Beside the last item: the best of the first stage (lists), or what was shown with it and not taken."),
    ] = "lists"
    context: Annotated[
        tuple[str, ...],
        Doc("Read of a request: hour, weekday, month, recent (popularity before it), columns of data.columns.context."),
    ] = ()
    seed: Annotated[int, Doc("Of the networks and of the choice of histories.")] = 0

    learns: ClassVar[tuple[str, ...]] = (
        *(f"{name}_" for name in (*COUNTS, *CONTEXTS)),
        *("center_", "spread_", "base_weights_", "hidden_weights_", "hidden_offsets_", "output_weights_"),
    )

    # --- learning ---------------------------------------------------------------------------------

    @property
    def training(self) -> Training:
        """The options of its networks."""
        return Training(self.hidden, self.epochs, self.learning_rate, self.weight_decay, self.batch_size)

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        reusable = self._reusable or Reusable(dataset)
        self._fit_first(dataset, validation, log, reusable)  # it answers; its weights as validation chooses them
        held = hold_out_last(dataset, remedy=REMEDY, whole_basket=True)
        first = self.first_[0]  # what learns without the targets has the weights of what answers, so the same features
        if isinstance(first, Blend):
            before: Recommender = first.refit_members(held.context, reusable=reusable, log=log)
        else:
            before = reusable.fit_held_out(first.chosen(), held.context, log)
        examples = self._examples(before, count(held.context, self.context), held, log)
        seeds = log.track(range(self.seed * SEEDS, self.seed * SEEDS + self.networks), "ranker: networks")
        trained = [train_network(examples, self.training, seed=seed) for seed in seeds]
        for number, (_, losses) in enumerate(trained):
            log.record("ranker", network=number, histories=len(examples.target), losses=losses)
        self.base_weights_ = np.stack([network.base_weight for network, _ in trained])  # [networks, 1]
        self.hidden_weights_ = np.stack([network.hidden_weights for network, _ in trained])
        self.hidden_offsets_ = np.stack([network.hidden_offsets for network, _ in trained])
        self.output_weights_ = np.stack([network.output_weights for network, _ in trained])
        counts = count(dataset, self.context)
        for name in COUNTS:
            setattr(self, f"{name}_", getattr(counts, name))
        for name, value in zip(CONTEXTS, counts.contexts, strict=True):
            setattr(self, f"{name}_", value)

    def _examples(self, first: Recommender, counts: Counts, held: Fold, log: Log) -> Examples:
        """Return the candidates of the shortened histories whose target is among them, features standardised."""
        users = np.unique(held.target.user)
        if len(users) > self.histories:
            users = np.sort(np.random.default_rng(self.seed).choice(users, self.histories, replace=False))
        target = held.target.history(users).item  # one a history
        shown = None if self.learn_from == "lists" else _shown(held, users)
        size, kept = max(1, min(BLOCK, SCORES_AT_ONCE // held.context.n_items)), []
        blocks = held.histories(users).blocks(size)
        for rows, block in log.track(blocks, "ranker: candidates", math.ceil(len(users) / size)):
            found = self._find(first, counts, block, None if shown is None else shown[rows].toarray() > 0)
            there = np.isfinite(found.base)
            hit = (found.items == target[rows, None]) & there
            with_target = hit.any(axis=1) & (there.sum(axis=1) > 1)
            kept.append((found.features[with_target], found.base[with_target], hit[with_target].argmax(axis=1)))
        features, base, place = (np.concatenate(part) for part in zip(*kept, strict=True))
        log.line(f"ranker: learns from {len(place):,} of {len(users):,} histories, {features.shape[2]} features")
        if not len(place):
            log.line("ranker: no last item is among the candidates, so it scores as its first stage; raise candidates")
        known = features[np.isfinite(base)] if len(place) else np.zeros((1, features.shape[2]), np.float32)
        self.center_ = known.mean(axis=0, dtype=np.float64).astype(np.float32)
        spread = known.std(axis=0, dtype=np.float64).astype(np.float32)
        self.spread_ = np.where(spread > 1e-6, spread, np.float32(1))
        return Examples((features - self.center_) / self.spread_, base, place)

    # --- scoring ----------------------------------------------------------------------------------

    def _counts(self) -> Counts:
        contexts = ContextCounts(*(getattr(self, f"{name}_") for name in CONTEXTS))
        return Counts(**{name: getattr(self, f"{name}_") for name in COUNTS}, contexts=contexts)

    def _candidates(self, history: History) -> CandidateBatch:
        return self._find(self.first_[0], self._counts(), history)

    def _find(
        self, first: Recommender, counts: Counts, history: History, shown: npt.NDArray[np.bool_] | None = None
    ) -> CandidateBatch:
        k, unseen = self.candidates, self.exclude_seen and shown is None
        return find_candidates(first, counts, history, k, exclude_seen=unseen, context=self.context, shown=shown)

    def _networks(self) -> list[CandidateNetwork]:
        parts = self.base_weights_, self.hidden_weights_, self.hidden_offsets_, self.output_weights_
        return [CandidateNetwork(*weights) for weights in zip(*parts, strict=True)]

    def _first_weight(self) -> float:
        """Return a, the mean over the networks."""
        return float(self.base_weights_.mean())

    def _score(self, history: History) -> Float32:
        return self._scores_and_step(self._candidates(history))[0]

    def _scores_and_step(self, found: CandidateBatch) -> tuple[Float32, Float32]:
        """Return scores `[n, n_items]`, and how far the items that are no candidates were moved down `[n]`."""
        features = (found.features - self.center_) / self.spread_
        anew = np.mean([network.score(features, found.base) for network in self._networks()], axis=0)  # [n, k]
        row, place = np.nonzero(np.isfinite(found.base))
        scores = self._first_weight() * found.first
        rest = scores.copy()
        rest[row, found.items[row, place]] = -np.inf
        lowest, highest = np.where(np.isfinite(found.base), anew, np.inf).min(axis=1), rest.max(axis=1)
        both = np.isfinite(lowest) & np.isfinite(highest)
        step = np.where(both, np.maximum(highest - np.where(both, lowest, 0), 0) + MARGIN, 0).astype(np.float32)
        scores -= step[:, None]
        scores[row, found.items[row, place]] = anew[row, place]
        return scores, step

    # --- explaining -------------------------------------------------------------------------------

    def _by_feature(self, found: CandidateBatch, items: Int32) -> dict[str, Float32]:
        """Return what each feature adds to scores beside an average candidate, `[m]`; zero for other items."""
        place_of = np.full(found.first.shape[1], -1)
        there = np.isfinite(found.base[0])
        place_of[found.items[0, there]] = np.flatnonzero(there)
        place = place_of[items]
        features = (found.features[0, place] - self.center_) / self.spread_  # [m, n_features]
        terms = np.mean([network.contributions(features) for network in self._networks()], axis=0)
        terms[place < 0] = 0
        return dict(zip(found.names, terms.T, strict=True))

    def _terms(self, history: History, items: Int32) -> Terms:
        """Return the terms of the first stage times a, the features by group, and the step down of other items."""
        found = self._candidates(history)
        first = self.first_[0].terms(history, items).times(self._first_weight())
        if not isinstance(self.first_[0], Blend):  # which is in units of its spread already
            first = first.times(1 / row_std(self.first_[0].score(history))[0, 0])
        is_candidate = np.isin(items, found.items[0, np.isfinite(found.base[0])])
        groups = {BELOW: np.where(is_candidate, 0, -self._scores_and_step(found)[1][0])}
        for name, term in self._by_feature(found, items).items():
            group = GROUPS[name.partition(" ")[0]]
            groups[group] = groups.get(group, 0) + term
        popular = first.popular + groups.pop(POPULARITY)
        return Terms(
            first.history, popular, first.parts | {name: np.asarray(term, np.float32) for name, term in groups.items()}
        )

    # --- new items --------------------------------------------------------------------------------

    def _extend(self, features: Float32) -> None:
        super()._extend(features)
        vectors = self._counts().vectors
        if vectors.shape[1]:
            self.vectors_ = np.concatenate([vectors, unit_rows(features)])


def _shown(held: Fold, users: npt.NDArray[np.integer]) -> sp.csr_matrix:
    """Return what was shown with the held-out item of each user and not taken, and that item, `[n, n_items]`."""
    context, target = held.context, held.target
    if context.timestamp is None or target.timestamp is None:
        raise DataError("ranker: learn_from impressions: what was shown together has one time, and the data has none")
    time = np.full(context.n_users, -1, np.int64)
    time[target.user] = target.timestamp  # one target a user
    beside = (context.weight <= 0) & (context.timestamp == time[context.user])
    if not beside.any():
        raise DataError(
            "ranker: learn_from impressions: no last item was shown with another that was not taken; read the data "
            "with kind: impressions and keep all of it with cleaning: {repeats: all}, or use learn_from: lists"
        )
    user, item = np.append(context.user[beside], target.user), np.append(context.item[beside], target.item)
    pairs = sp.csr_matrix((np.ones(len(user), np.int8), (user, item)), (context.n_users, context.n_items))
    return sp.csr_matrix(pairs[users])


def find_candidates(
    first: Recommender,
    counts: Counts,
    history: History,
    k: int,
    *,
    exclude_seen: bool,
    context: Sequence[str] = (),
    shown: npt.NDArray[np.bool_] | None = None,
) -> CandidateBatch:
    """Return the best items of a first stage with their features, not standardised.

    Args:
        first: A fitted recommender.
        counts: Of the part that it was fitted on.
        history: `n` histories.
        k: Candidates of each.
        exclude_seen: Leave out the items of the history.
        context: The names of context that are read.
        shown: The only items that may be candidates; None: all. `[n, n_items]`

    Returns:
        The candidates; none for a history without a liked item.
    """
    if isinstance(first, Blend):
        members = dict(first.member_scores(history))
        scores = first.combine(history, members.items())
    else:
        members = {0: first.score(history)}
        scores = divide_by_std(members[0])
    seen = (history.indptr, history.item) if exclude_seen else None
    if shown is None:
        items, base = top_k_scores(scores, min(k, history.n_items), seen=seen)
    else:
        items, base = top_k_scores(np.where(shown, scores, -np.inf), min(k, int(shown.sum(axis=1).max(initial=1))))
    base[history.keep(history.weight > 0).lengths == 0] = -np.inf
    readers = (one for one in within(first) if isinstance(one, SharedWords) and hasattr(one, "n_words_"))
    words = next(((one.item_words_, one.n_words_) for one in readers), None)
    names, features = candidate_features(counts, history, items, list(members.values()), words, context)
    return CandidateBatch(scores, items, base, names, features)
