"""Blend: the scores of several recommenders as one. Knows their scores, nothing of how they are computed."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from annotated_types import MinLen
from typing_extensions import override

from genre.arrays import Float32, Int32, Int64
from genre.data.dataset import Dataset
from genre.data.folds import Fold, hold_out_last
from genre.data.history import History
from genre.data.linear_algebra import divide_by_std, row_std
from genre.data.shown_together import Shown, collect_shown, hold_out_last_shown
from genre.errors import DataError, NotSupported, OptionError
from genre.log import SILENT, Log
from genre.options import DEFAULT_K, Doc, Ge
from genre.recommenders.base import Recommender
from genre.recommenders.blend_weights import CandidateLists, Candidates, best_candidates, fit_weights
from genre.recommenders.reasons import Method, Terms
from genre.recommenders.reusing import Reusable, fit_reusing

Mask = npt.NDArray[np.bool_]

BLOCK = 256  # histories scored at once while weights are fitted, at most
SCORES_HELD = 1 << 25  # scores of all members held at once while weights are fitted: 128 MiB, and some copies
DEPTH = 200  # items of each member's list that are candidates while weights are fitted
REMEDY = "give the blend `weights`, or a validation part to fit weights on"
RANK_OFFSET = 60.0  # of reciprocal ranks: the larger, the less the first ranks differ


@dataclass(eq=False)
class Blend(Recommender):
    """The weighted mean of the members' scores, each divided by its spread over the catalogue of that history.

    A member that knows nothing of an item, such as `content` of an item without features or without the block that it
    reads, leaves its weight for that item to the other members, so that no item falls behind for what it lacks.

    The weights are not negative and make ndcg@k best on the validation part; without one, on the last liked item of
    each history, held out for the purpose (the members are then fitted twice). With `reciprocal_rank` nothing is
    fitted: a score is the sum of 1 / (60 + rank) over the members.

    Where the data are impressions and lists are ranked among what was shown, `learn_from: impressions` fits the weights
    to that: each impression of the validation part is a list, and what was clicked belongs at its top.

    Source of reciprocal_rank: Cormack, Clarke & Buettcher, "Reciprocal Rank Fusion Outperforms Condorcet and
    Individual Rank Learning Methods", SIGIR 2009.

    Example:
        >>> import genre
        >>> from genre.testing import toy_dataset
        >>> model = genre.Blend((genre.EASE(), genre.Popularity()), weights=(3.0, 1.0)).fit(toy_dataset())
        >>> model.recommend(["i0", "i2"], k=1).ids()[0] in ("i4", "i6", "i8", "i10")  # even items, as in the history
        True
    """

    recommenders: Annotated[tuple[Recommender, ...], MinLen(1), Doc("The members.")]
    method: Annotated[
        Literal["weights", "reciprocal_rank"],
        Doc("weights: a weighted sum of scores; reciprocal_rank: the sum of 1 / (60 + rank)."),
    ] = "weights"
    weights: Annotated[
        tuple[Annotated[float, Ge(0)], ...] | None, Doc("One weight a member; None: they are fitted.")
    ] = None
    length_buckets: Annotated[
        int, Ge(1), Doc("Groups of histories by length, equally many in each, that get weights of their own.")
    ] = 1
    k: Annotated[int, Ge(1), Doc("Length of the list whose ndcg the weights make best.")] = DEFAULT_K
    histories: Annotated[int, Ge(10), Doc("Histories that weights are fitted on, at most.")] = 3000
    exclude_seen: Annotated[
        bool,
        Doc("Weights are fitted for items that the history lacks; false where users repeat items, as in `evaluation`."),
    ] = True
    learn_from: Annotated[
        Literal["lists", "impressions"],
        Doc("Weights rank the items of a list, or a click among what was shown with it and not clicked."),
    ] = "lists"
    seed: Annotated[int, Doc("Of the choice of those histories.")] = 0

    extends_when: ClassVar[str] = "as its members"
    explains: ClassVar[Method] = "occlusion"
    answers_empty: ClassVar[bool] = True  # its members do
    learns: ClassVar[tuple[str, ...]] = ("members_", "weights_", "edges_")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights is not None and (len(self.weights) != len(self.recommenders) or not any(self.weights)):
            raise OptionError(f"Blend: {len(self.recommenders)} members need as many weights, at least one above zero")

    # --- learning ---------------------------------------------------------------------------------

    @property
    def fits_weights(self) -> bool:
        """Whether weights are fitted."""
        return self.method == "weights" and self.weights is None

    def _fit(self, dataset: Dataset, validation: Fold | None, log: Log) -> None:
        equal = np.full(len(self.recommenders), 1 / len(self.recommenders))
        self.edges_, self.weights_ = np.zeros(0), equal[None]  # [n_buckets - 1], [n_buckets, n_members]
        if not self.fits_weights:
            self._fit_members(dataset, validation, log, "members")
            if self.weights is not None:
                self.weights_ = np.array([self.weights]) / sum(self.weights)
            return
        hold_out = hold_out_last if self.learn_from == "lists" else hold_out_last_shown
        fold = validation or hold_out(dataset, remedy=REMEDY)
        self._fit_members(
            dataset if validation else fold.context, validation, log, "members" if validation else "held-out"
        )
        self._fit_weights(fold, log)
        if not validation:
            if self._reusable is not None:  # a second stage that learns without the last items, too
                self._reusable.hold_out(fold.context, self.members_)
            self._fit_members(dataset, None, log, "members")

    def weigh(self, members: Sequence[Recommender], validation: Fold, *, log: Log = SILENT) -> Self:
        """Fit the weights alone, for members that are fitted already.

        The result is that of `fit` with a validation part, without fitting the members again.

        Args:
            members: The recommenders of this blend, fitted on one training part, in their order.
            validation: Held-out interactions of that part.
            log: Where progress is shown.

        Returns:
            The blend itself.

        Raises:
            OptionError: There are more or fewer members than recommenders.
        """
        if len(members) != len(self.recommenders):
            raise OptionError(f"Blend: found {len(members)} fitted members, expected {len(self.recommenders)}")
        self.item_ids_, self.popularity_ = members[0].item_ids_, members[0].popularity_
        self.members_, self.edges_ = tuple(members), np.zeros(0)
        self.weights_ = np.full((1, len(members)), 1 / len(members))
        self._fit_weights(validation, log)
        return self

    def refit_members(self, dataset: Dataset, *, reusable: Reusable | None = None, log: Log = SILENT) -> Self:
        """Fit the members anew, as validation chose them, and keep all weights, those by length of histories too.

        Args:
            dataset: Other interactions with the same items: the training part without the last ones.
            reusable: Where those that were fitted on them are kept; None: nowhere.
            log: Where progress is shown.

        Returns:
            A new blend, fitted; this one stays as it is.
        """
        made, reusable = copy.copy(self), reusable or Reusable(dataset)
        made.members_ = tuple(reusable.fit_held_out(member.chosen(), dataset, log) for member in self.members_)
        made.popularity_, made._index = made.members_[0].popularity_, None
        return made

    def _chosen(self) -> dict[str, Any]:
        """Return the members as chosen, and the weights; those of several length buckets are fitted again."""
        chosen: dict[str, Any] = {"recommenders": tuple(member.chosen() for member in self.members_)}
        if self.method == "weights" and len(self.weights_) == 1:
            chosen["weights"] = tuple(self.weights_[0].tolist())
        return chosen

    def _fit_members(self, dataset: Dataset, validation: Fold | None, log: Log, place: str) -> None:
        members, reusable = [], self._reusable if place == "members" else None
        for at, member in enumerate(self.recommenders):
            checkpoint = self._checkpoint / place / str(at) if self._checkpoint else None
            fresh = dataclasses.replace(member)  # type: ignore[type-var]  # every recommender is a dataclass
            members.append(fit_reusing(fresh, reusable, dataset, validation=validation, checkpoint=checkpoint, log=log))
        self.members_ = tuple(members)

    @override
    def members(self) -> tuple[Recommender, ...]:
        return getattr(self, "members_", self.recommenders)

    def _fit_weights(self, fold: Fold, log: Log) -> None:
        if self.learn_from == "impressions":
            shown = collect_shown(fold)
            if len(shown.users) > self.histories:
                drawn = np.random.default_rng(self.seed).choice(shown.users, self.histories, replace=False)
                shown = collect_shown(fold.of_users(drawn))
            history = fold.histories(shown.users)
            candidates = list(self._shown_candidates(history, shown))
            lengths = history.lengths[shown.owner]
        else:
            history, targets = _histories_with_targets(fold, self.histories, self.seed, exclude_seen=self.exclude_seen)
            candidates, lengths = list(self._candidates(history, targets)), history.lengths
        overall = fit_weights(CandidateLists.of(candidates), self.k, self.weights_[0])
        self.edges_ = np.unique(np.quantile(lengths, np.arange(1, self.length_buckets) / self.length_buckets))
        bucket = self._bucket(lengths)
        weights = []
        for number in range(len(self.edges_) + 1):
            here = [candidates[at] for at in np.flatnonzero(bucket == number)]
            own = here and len(self.edges_)
            weights.append(fit_weights(CandidateLists.of(here), self.k, overall) if own else overall)
        self.weights_ = np.array(weights)
        for number, row in enumerate(self.weights_):
            log.record("blend", bucket=number, weights=[round(float(weight), 4) for weight in row])

    def _candidates(self, history: History, targets: History) -> Iterator[Candidates]:
        """Yield the candidates of each history, scored by the members."""
        for at, (seen, scores, known) in enumerate(self._scored(history)):
            right = targets.item[targets.indptr[at] : targets.indptr[at + 1]]
            yield best_candidates(scores, seen if self.exclude_seen else seen[:0], np.unique(right), DEPTH, known)

    def _shown_candidates(self, history: History, shown: Shown) -> Iterator[Candidates]:
        """Yield what each impression shows, scored by the members; `history` has a row for each of its users."""
        rng = np.random.default_rng(self.seed)
        each = np.searchsorted(shown.owner, np.arange(len(history) + 1))  # owners ascend
        for at, (_, scores, known) in enumerate(self._scored(history)):
            for one in range(each[at], each[at + 1]):
                here = rng.permutation(np.arange(shown.indptr[one], shown.indptr[one + 1]))  # ties tell nothing
                item, clicked = shown.item[here], shown.clicked[here]
                yield Candidates(
                    scores[:, item], clicked, int(clicked.sum()), None if known is None else known[:, item]
                )

    def _scored(self, history: History) -> Iterator[tuple[Int32, Float32, Mask | None]]:
        """Yield the items of each history, the members' scores, and what each member knows, `[n_members, n_items]`."""
        size = max(1, min(BLOCK, SCORES_HELD // (len(self.members_) * history.n_items)))
        for _, block in history.blocks(size):
            found = [_scaled(member, _score_as(member, block), block) for member in self.members_]
            scores = np.stack([one for one, _ in found], axis=1)  # [n, n_members, n_items]
            known = None
            if any(mask is not None for _, mask in found):
                known = np.stack([np.ones(one.shape, bool) if mask is None else mask for one, mask in found], axis=1)
            for row in range(len(block)):
                items = block.item[block.indptr[row] : block.indptr[row + 1]]
                yield items, scores[row], None if known is None else known[row]

    def _bucket(self, lengths: Int64) -> Int64:
        """Return the length bucket of histories of these lengths, `[n]`."""
        return np.searchsorted(self.edges_, lengths, side="left")

    # --- scoring ----------------------------------------------------------------------------------

    def _score(self, history: History) -> Float32:
        return self.combine(history, self.member_scores(history))

    def member_scores(self, history: History) -> Iterator[tuple[int, Float32]]:
        """Yield the scores of each member that has a weight.

        Args:
            history: `n` histories.

        Yields:
            The number of the member and its scores, float32 `[n, n_items]`.
        """
        for at in np.flatnonzero(self.weights_.any(axis=0)).tolist():
            yield at, _score_as(self.members_[at], history)

    def combine(self, history: History, scores: Iterable[tuple[int, Float32]]) -> Float32:
        """Return the weighted mean of members' scores in units of their spread, or the sum of reciprocal ranks.

        Args:
            history: `n` histories.
            scores: What `member_scores` yields for them.

        Returns:
            The scores of the blend, float32 `[n, n_items]`.
        """
        total = np.zeros((len(history), history.n_items), np.float32)
        # The weights of the members that know an item, [n, 1] as long as all members know all items, else [n, n_items].
        held = np.zeros((len(history), 1), np.float32)
        weights = self.weights_[self._bucket(history.lengths)].astype(np.float32)  # [n, n_members]
        for at, found in scores:
            if self.method == "weights":
                scaled, known = _scaled(self.members_[at], found, history)
                total += weights[:, [at]] * scaled
                held = held + (weights[:, [at]] if known is None else weights[:, [at]] * known.astype(np.float32))
            else:
                total += weights[:, [at]] * _reciprocal_ranks(found)
        if self.method == "weights":
            held[held <= 0] = 1
            total /= held
        return total

    @property
    def evidence(self) -> Method:
        """Exact where the blend is a weighted sum of members whose evidence is exact, else occlusion."""
        summed = self.method == "weights" and all(member.evidence != "occlusion" for member in self.members_)
        return "exact" if summed else "occlusion"

    def _shares(self, history: History, items: Int32) -> Iterator[tuple[Recommender, History, Float32]]:
        """Yield each member that counts, the one history with the items it knows, and its weights per unit of score.

        The weights are those of `items`, `[m]`: zero where the member knows nothing of an item.
        """
        weights = self.weights_[self._bucket(history.lengths)][0]
        shares = np.zeros((len(weights), len(items)), np.float64)
        held = np.zeros(len(items))
        for at in np.flatnonzero(weights).tolist():
            scores = _score_as(self.members_[at], history)
            known = _knows(self.members_[at], scores, history)
            knows = 1 if known is None else known[0, items]
            shares[at] = weights[at] * knows / row_std(scores, known)[0, 0]
            held += weights[at] * knows
        for at in np.flatnonzero(weights).tolist():
            inside = history.within(len(self.members_[at].item_ids_))
            yield self.members_[at], inside, (shares[at] / np.where(held > 0, held, 1)).astype(np.float32)

    def _popular(self, history: History, items: Int32) -> Float32:
        total = np.zeros(len(items), np.float32)
        if self.method == "weights":
            for member, inside, share in self._shares(history, items):
                known = items < inside.n_items
                total[known] += share[known] * member.popular(inside, items[known])
        return total

    def _terms(self, history: History, items: Int32) -> Terms:
        """Return the members' terms, multiplied by the weights that blend their scores."""
        if self.method == "reciprocal_rank":
            return super()._terms(history, items)
        shares, popular = np.zeros((len(items), len(history.item)), np.float32), np.zeros(len(items), np.float32)
        parts: dict[str, Float32] = {}
        for member, inside, share in self._shares(history, items):
            known, kept = items < inside.n_items, history.item < inside.n_items
            terms = member.terms(inside, items[known]).times(share[known])
            shares[np.ix_(known, kept)] += terms.history
            popular[known] += terms.popular
            for name, part in terms.parts.items():
                parts.setdefault(name, np.zeros(len(items), np.float32))[known] += part
        return Terms(shares, popular, parts)

    # --- new items --------------------------------------------------------------------------------

    def _extend(self, features: Float32) -> None:
        """Add the items to the members that can place them; to the others a new item is an average one."""
        new = self.item_ids_.take(np.arange(len(self.item_ids_) - len(features), len(self.item_ids_)))
        grown = []
        for member in self.members_:
            try:
                grown.append(member.extend(new, features))
            except NotSupported:
                grown.append(member)
        if all(one is before for one, before in zip(grown, self.members_, strict=True)):
            raise NotSupported("Blend: none of its members can place an item without interactions; fit it again")
        self.members_ = tuple(grown)


def _score_as(member: Recommender, history: History) -> Float32:
    """Return a member's scores, with its mean for items added after it was fitted, `[n, n_items]`."""
    n_known = len(member.item_ids_)
    scores = member.score(history.within(n_known))
    if n_known == history.n_items:
        return scores
    return np.pad(scores, ((0, 0), (0, history.n_items - n_known)), mode="mean")


def _knows(member: Recommender, scores: Float32, history: History) -> Mask | None:
    """Return of which items a member's scores say something, bool `[n, n_items]`; None: of all.

    Of an empty history it knows them all, by popularity; of one with nothing that it reads, none.
    """
    known = member.known_items()
    if known is None:
        return None
    known = np.pad(known, (0, history.n_items - len(known)), constant_values=True)
    return np.where((history.lengths == 0)[:, None], True, known & scores.any(axis=1, keepdims=True))


def _scaled(member: Recommender, scores: Float32, history: History) -> tuple[Float32, Mask | None]:
    """Return a member's scores in units of their spread, over the items that it knows, and which those are."""
    known = _knows(member, scores, history)
    if known is None:
        return divide_by_std(scores), None
    return np.asarray(np.where(known, scores, 0) / row_std(scores, known), np.float32), known


def _reciprocal_ranks(scores: Float32) -> Float32:
    """Return 1 / (60 + rank); tied items share the last of their ranks, so that a flat tail gains nothing."""
    from scipy.stats import rankdata  # importing it takes half a second

    return np.asarray(1 / (RANK_OFFSET + rankdata(-scores, axis=1, method="max")), np.float32)


def _histories_with_targets(fold: Fold, most: int, seed: int, *, exclude_seen: bool) -> tuple[History, History]:
    """Return at most `most` histories that have targets, and these: items liked, new to the user or any."""
    liked = fold.target.liked()
    target = fold.target.where(liked & ~fold.repeats() if exclude_seen else liked)
    users = np.unique(target.user)
    if len(users) == 0:
        raise DataError(
            "blend: the validation part has no liked item that is new to its user; give `weights`, or "
            "exclude_seen: false"
        )
    if len(users) > most:
        users = np.sort(np.random.default_rng(seed).choice(users, most, replace=False))
    return fold.histories(users), target.history(users)
