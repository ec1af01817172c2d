"""The base of recommenders that train a network: their options, their training call, validation, and `init_from`.

Needs torch only inside the methods that train. Knows nothing about any one network.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeVar

import numpy as np
import numpy.typing as npt

from genre import storage
from genre.arrays import Float32
from genre.data.dataset import Dataset
from genre.data.features import Features
from genre.data.folds import Fold
from genre.data.history import History
from genre.data.linear_algebra import principal_components
from genre.data.ndcg import ndcg_of_lists
from genre.errors import ArtifactError, DataError
from genre.log import Log
from genre.options import Doc, Ge, Le, Search
from genre.recommenders.base import Recommender, within
from genre.recommenders.topk import top_k_scores
from genre.training.hyperparameters import TrainingOptions, require_torch

if TYPE_CHECKING:
    from torch import nn

    from genre.training.loop import Batches

    Network = TypeVar("Network", bound=nn.Module)

HistoryCut = Annotated[
    float,
    Ge(0),
    Le(1),
    Search(0, 1),
    Doc("Share of histories cut in training to a random part, so that short histories are scored well too."),
]
UserDim = Annotated[
    int,
    Ge(0),
    Doc("Main directions of the users' text vectors that are read; all of them would name the items to predict."),
]
MaxLength = Annotated[
    int,
    Ge(2),
    Doc(
        "Items of a history that training reads at once; longer histories are cut into windows. Recommending reads the "
        "newest max_length - 1: one place holds the start mark."
    ),
]

VALIDATION_K = 10
VALIDATION_USERS = 2000  # ranked after each epoch: enough for a choice between epochs
BLOCK = 512  # histories scored at once for validation


@dataclass(eq=False, kw_only=True)
class NetworkRecommender(Recommender, TrainingOptions):
    """The base of the recommenders that train a network."""

    batch_size: Annotated[int, Ge(1), Doc("Interactions, or histories of average length, in a training step.")] = 128
    init_from: Annotated[
        str | None,
        Doc(
            "Folder of a run or of a saved model of the same class whose weights training starts from; in a config a "
            "relative one is relative to the config's folder. None: random weights."
        ),
    ] = None
    init_ids: Annotated[
        bool,
        Doc(
            "With init_from: users and items of equal ids keep their embeddings; false where equal ids are not the "
            "same things, as in another domain."
        ),
    ] = True

    takes_start: ClassVar[bool] = True
    learns: ClassVar[tuple[str, ...]] = ("kept_epochs_",)

    def _initialise(self, build: Callable[[], Network], log: Log) -> Network:
        """Build the network with weights drawn from `seed`, then take over those of `start` or `init_from`."""
        from genre.training.loop import seeded

        with seeded(self.seed):
            network = build()
        source, name = self._start, "the fitted one given as start"
        if source is None and self.init_from is not None:
            source, name = type(self).load(saved_in(Path(self.init_from), type(self))), self.init_from
        if source is not None:
            log.line(f"{type(self).__name__}: weights from {name}: {_take_over(source, self, network)}")
        return network

    def _train(
        self,
        network: nn.Module,
        batches: Batches,
        dataset: Dataset,
        validation: Fold | None,
        *,
        read: Callable[[], None],
        metric: Literal["ndcg", "rmse"] = "ndcg",
        options: TrainingOptions | None = None,
        log: Log,
    ) -> None:
        """Train `network` by the options, its own by default; `read` copies what it has learnt into the recommender.

        With a validation part, `read` is called after each epoch and the metric decides which epoch is kept.
        """
        from genre.training.loop import Validation, train

        watched, parts = None, tuple[str, ...]()
        if validation is not None and len(validation.target):
            fold, measure = validation, validation_rmse if metric == "rmse" else validation_ndcg
            parts = (fold.context.fingerprint(), fold.target.fingerprint())

            def measured() -> float:
                read()
                return measure(self, fold)

            label = "rmse" if metric == "rmse" else f"ndcg@{VALIDATION_K}"
            watched = Validation(label, measured, higher_is_better=metric == "ndcg")
        checkpoint = self._checkpoint
        trained = train(
            network,
            batches,
            watched,
            options=options or self,
            label=type(self).__name__.lower(),
            checkpoint=checkpoint,
            identity=f"{self._options()} {dataset.fingerprint()} {parts} {self._start_digest()}" if checkpoint else "",
            log=log,
        )
        self.kept_epochs_ = trained.best_epoch
        read()

    def _start_digest(self) -> str:
        """Return a digest of the weights that `fit` was given to start from; empty without any."""
        if self._start is None:
            return ""
        weights: storage.Tensors = self._start.weights_  # type: ignore[attr-defined]
        found = hashlib.blake2b(digest_size=16)
        for name in sorted(weights):
            found.update(name.encode() + np.ascontiguousarray(weights[name]).tobytes())
        return found.hexdigest()

    def _chosen(self) -> dict[str, Any]:
        return {"epochs": self.kept_epochs_, "patience": 0} if self.kept_epochs_ else {}


def validation_rmse(recommender: Recommender, fold: Fold) -> float:
    """Return the root mean squared error of the ratings of a validation part.

    Args:
        recommender: a fitted recommender that predicts ratings.
        fold: ratings to predict (`target`), given the histories of `context`.

    Returns:
        The error in stars.

    Raises:
        DataError: the validation part has no ratings.
    """
    target = fold.target
    if target.rating is None:
        raise DataError("the validation part has no ratings; use the loss 'bce'")
    predicted = recommender.predict(fold.context.history(), target.user, target.item)
    return float(np.sqrt(np.mean((predicted - target.rating) ** 2, dtype=np.float64)))


def validation_ndcg(recommender: Recommender, fold: Fold) -> float:
    """Return the mean ndcg@10 of at most 2,000 evenly spread users, seen items excluded: a choice between epochs.

    Args:
        recommender: a fitted recommender.
        fold: liked items to find (`target`), given the histories of `context`.

    Returns:
        A mean between 0 and 1; 0 where no user has a liked item.
    """
    liked_target = fold.target.where(fold.target.liked())
    users = np.unique(liked_target.user)
    if len(users) > VALIDATION_USERS:
        users = users[np.linspace(0, len(users) - 1, VALIDATION_USERS).astype(np.int64)]
    relevant = liked_target.history(users)
    total = 0.0
    for rows, block in fold.context.history(users).blocks(BLOCK):
        found, _ = top_k_scores(recommender._score(block), VALIDATION_K, seen=(block.indptr, block.item))  # [n, k]
        wanted = relevant.select(rows)
        pairs = wanted.row_of() * block.n_items + wanted.item  # (row, item) as one number
        hits = np.isin(np.arange(len(block))[:, None] * block.n_items + found, pairs) & (found >= 0)  # [n, k]
        total += float(ndcg_of_lists(hits, wanted.lengths).sum())
    return total / max(len(users), 1)


@dataclass(frozen=True)
class Standardised:
    """The scaling of feature vectors for a network: each value less its column's mean, all over one common spread.

    Attributes:
        mean: mean of each column. `[dim]`
        scale: standard deviation of all centred values together.
    """

    mean: Float32
    scale: float

    @classmethod
    def of(cls, features: Features | None) -> Self:
        """Return the scaling of the features of a training part.

        Args:
            features: item features, or None.

        Returns:
            Their mean and spread; of width 0 without features.
        """
        if features is None:
            return cls(np.zeros(0, np.float32), 1.0)
        mean = features.values.mean(0, dtype=np.float64)
        return cls(mean.astype(np.float32), float(np.std(features.values - mean)) or 1.0)

    def __call__(self, features: Features | Float32 | None, n: int) -> Float32:
        """Return scaled vectors.

        Args:
            features: as many columns as those that the scaling was learnt from, or None.
            n: rows to return where `features` is None.

        Returns:
            `[n, dim]`, of width 0 without features.

        Raises:
            DataError: the features have another number of columns.
        """
        if features is None:
            return np.zeros((n, 0), np.float32)
        values = features.values if isinstance(features, Features) else features
        if values.shape[1] != len(self.mean):
            raise DataError(f"the features have {values.shape[1]} dimensions, expected {len(self.mean)}")
        return np.ascontiguousarray((values - self.mean) / np.float32(self.scale), np.float32)


def user_inputs(dataset: Dataset, dim: int) -> Float32:
    """Return the main directions of the users' vectors.

    A user's text names items that the user liked: its whole vector would contain the answers to be predicted.

    Args:
        dataset: the training part.
        dim: directions to keep, at most.

    Returns:
        `[n_users, at most dim]`, of width 0 without user features.
    """
    if dataset.user_features is None:
        return np.zeros((dataset.n_users, 0), np.float32)
    return principal_components(dataset.user_features.values, dim)


def liked(history: History) -> History:
    """Return the histories without interactions that were seen but not liked (weight 0).

    Args:
        history: any histories.

    Returns:
        As many histories, some of them shorter.
    """
    return history if (history.weight > 0).all() else history.keep(history.weight > 0)


def liked_histories(dataset: Dataset) -> History:
    """Return what each user liked, to learn from.

    Args:
        dataset: the training part.

    Returns:
        A history for each user, without interactions that were seen but not liked.

    Raises:
        DataError: nothing was liked.
    """
    found = liked(dataset.history())
    if len(found.item) == 0:
        raise DataError(
            f"{dataset.name}: every interaction has weight 0, so there is no like to learn from; lower positive_rating "
            "or raise low_rating_weight in the cleaning"
        )
    return found


def without_each(history: History) -> History:
    """Return as many copies of one history as it has interactions, each copy without one of them.

    Args:
        history: one history.

    Returns:
        `n_interactions` histories; the first lacks the first interaction.
    """
    length = len(history.item)
    return history.select(np.zeros(length, np.int64)).keep(~np.eye(length, dtype=bool).ravel())


def load_weights(network: nn.Module, weights: storage.Tensors, *, prefix: str = "") -> None:
    """Set the weights of a network and put it into evaluation mode.

    Args:
        network: the network.
        weights: arrays by name, as `weights_of` returns them.
        prefix: only arrays whose names start with it are used, by the rest of their names.
    """
    import torch

    inside = {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix)}
    network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in inside.items()})
    network.eval()


def weights_of(network: nn.Module) -> storage.Tensors:
    """Return copies of a network's weights.

    Args:
        network: the network, on any device.

    Returns:
        Arrays by name.
    """
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in network.state_dict().items()}


def zero_untrained(weights: storage.Tensors, table: str, counts: npt.NDArray[np.int64]) -> None:
    """Set the embeddings of users or items without training interactions to zero, as dropout did in training.

    Args:
        weights: the network's weights, changed in place.
        table: name of the embedding table. `[n, dim]`
        counts: training interactions of each row. `[n]`
    """
    weights[table][counts == 0] = 0


def start_manifests(recommender: Recommender) -> list[str]:
    """Return the manifests of the models that training starts from, so that a key changes when such a model does.

    Args:
        recommender: any recommender; those inside it are considered too.

    Returns:
        One JSON text for each `init_from`.

    Raises:
        ArtifactError: an `init_from` names no folder that fits.
    """
    inside = [(getattr(one, "init_from", None), type(one)) for one in within(recommender)]
    return [json.dumps(storage.read_manifest(saved_in(Path(str(name)), kind))) for name, kind in inside if name]


def check_devices(recommender: Recommender) -> None:
    """Raise an error where a recommender, or one inside it, is to be trained on a device that is not available.

    Args:
        recommender: any recommender.

    Raises:
        OptionError: names the device and those that are available.
        NotAvailable: torch is not installed.
    """
    for one in within(recommender):
        if isinstance(one, NetworkRecommender) and one.device != "cpu":
            require_torch(type(one).__name__, one.device)


def _take_over(source: Recommender, recommender: NetworkRecommender, network: nn.Module) -> str:
    """Start `network` with the weights of a fitted recommender of the same class; describe in a line what was taken.

    Tables whose rows belong to items (`item_*`) or users (`user_*`) are taken over id by id, or not at all without
    `init_ids`.
    """
    from genre.training.transfer import transfer_weights

    owners = {}
    for name in network.state_dict():
        for owner in ("item", "user"):
            if name.startswith(f"{owner}_id") or name == f"{owner}_bias":
                owners[name] = (getattr(source, f"{owner}_ids_"), getattr(recommender, f"{owner}_ids_"))
    saved: storage.Tensors = source.weights_  # type: ignore[attr-defined]  # every network recommender has them
    weights = {name: value for name, value in saved.items() if recommender.init_ids or name not in owners}
    return str(transfer_weights(network, weights, owners))


def saved_in(folder: Path, cls: type) -> Path:
    """Find where a recommender is saved.

    Args:
        folder: its folder, the one around it, or a run that holds one of its class.
        cls: its class.

    Returns:
        The folder that `load` reads.

    Raises:
        ArtifactError: there is none, or there are several.
    """
    if not folder.is_dir():
        raise ArtifactError(f"init_from: {folder}: no such folder; name a run, or the folder of a saved model")
    for place in (folder, folder / "model"):
        if (place / "state.safetensors").is_file():
            return place
    inside = sorted((folder / "recommenders").glob("*/model/options.json"))
    wanted = f"{cls.__module__}:{cls.__qualname__}"
    found = [path.parent for path in inside if storage.read_json(path).get("class") == wanted]
    if len(found) != 1:
        raise ArtifactError(
            f"init_from: {folder} holds {len(found)} saved {cls.__name__}, expected one; name its folder"
        )
    return found[0]
