"""What the recommenders with a network share: vectors as inputs, validation, the call of the loop, transfer.

Needs torch only inside the functions that train.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
import numpy.typing as npt

from genre import storage
from genre.arrays import Float32
from genre.data.dataset import Dataset, Features, History
from genre.data.folds import Fold
from genre.data.linear import principal
from genre.errors import ArtifactError, DataError
from genre.log import Log
from genre.options import Ge
from genre.recommenders.base import Recommender, within
from genre.recommenders.topk import top_k_scores
from genre.training.hyperparameters import TrainingOptions

if TYPE_CHECKING:
    from torch import nn

    from genre.training.loop import Batches, TrainingHistory

Layers = list[tuple[Float32, Float32]]  # weight [in, out] and bias [out] of each layer

K = 10
USERS = 2000  # judged after each epoch: enough for a choice between epochs
BLOCK = 512  # histories scored at once for validation


@dataclass(eq=False, kw_only=True)
class NetworkRecommender(Recommender, TrainingOptions):
    """Base of the recommenders that train a network.

    batch_size: interactions, or histories of average length, a step.
    init_from: folder of a run or of a saved model of the same class whose weights are the start. In a config a relative
    one is relative to the config's folder.
    init_ids: ids in common keep their embeddings; false where equal ids are not the same things, as in another domain.
    """

    batch_size: Annotated[int, Ge(1)] = 128
    init_from: str | None = None
    init_ids: bool = True


@dataclass(frozen=True)
class Standardised:
    """Vectors made fit for a network: each value less its column's mean, all over one common spread."""

    mean: Float32
    scale: float

    @classmethod
    def of(cls, features: Features | None) -> Self:
        if features is None:
            return cls(np.zeros(0, np.float32), 1.0)
        mean = features.values.mean(0, dtype=np.float64)
        return cls(mean.astype(np.float32), float(np.std(features.values - mean)) or 1.0)

    def __call__(self, features: Features | Float32 | None, n: int) -> Float32:
        """`[n, dim]`, dim 0 without features; DataError when they are not as wide as those learnt from."""
        if features is None:
            return np.zeros((n, 0), np.float32)
        values = features.values if isinstance(features, Features) else features
        if values.shape[1] != len(self.mean):
            raise DataError(f"the features have {values.shape[1]} dimensions, expected {len(self.mean)}")
        return np.ascontiguousarray((values - self.mean) / np.float32(self.scale), np.float32)


def user_inputs(dataset: Dataset, dim: int) -> Float32:
    """The main directions of the users' vectors; of width 0 where there are none. `[n_users, at most dim]`

    A user's text names what the user liked, so the whole vector would tell the network the answers it is to learn.
    """
    if dataset.user_features is None:
        return np.zeros((dataset.n_users, 0), np.float32)
    return principal(dataset.user_features.values, dim)


def fit_network(
    recommender: NetworkRecommender,
    network: nn.Module,
    batches: Batches,
    dataset: Dataset,
    validation: Fold | None,
    *,
    read: Callable[[], None],
    measure: tuple[str, Callable[[Recommender, Fold], float], bool] | None = None,
    log: Log,
) -> TrainingHistory:
    """Train `network` by the options that `recommender` has, then `read` what it learnt into the recommender.

    measure: name, function and direction of the validation value; by default ndcg of what the target part liked.
    """
    from genre.training.loop import Validation, train

    watch = None
    if validation is not None and len(validation.target):
        fold, (name, judge, higher) = validation, measure or NDCG

        def value() -> float:
            read()
            return judge(recommender, fold)

        watch = Validation(name, value, higher)
    checkpoint = recommender._checkpoint
    identity = ""
    if checkpoint is not None:
        asked = (validation.context.fingerprint(), validation.target.fingerprint()) if watch and validation else ()
        identity = f"{recommender._options()} {dataset.fingerprint()} {asked}"
    history = train(
        network,
        batches,
        watch,
        options=recommender,
        label=type(recommender).__name__.lower(),
        checkpoint=checkpoint,
        identity=identity,
        log=log,
    )
    read()
    return history


def rmse(recommender: Recommender, fold: Fold) -> float:
    """Root mean squared error of the ratings of `fold.target`, given `fold.context`."""
    target = fold.target
    if target.rating is None:
        raise DataError("the validation part has no ratings; use the loss 'bce'")
    predicted = recommender.predict(fold.context.history(), target.user, target.item)
    return float(np.sqrt(np.mean((predicted - target.rating) ** 2, dtype=np.float64)))


def ndcg(recommender: Recommender, fold: Fold) -> float:
    """Mean ndcg@10 over at most 2,000 evenly spread users, seen items excluded, for a choice between epochs."""
    liked = fold.target.where(fold.target.liked())
    users = np.unique(liked.user)
    users = users[np.linspace(0, len(users) - 1, min(USERS, len(users))).astype(np.int64)] if len(users) else users
    relevant = liked.history(users)
    discount = 1 / np.log2(np.arange(2, K + 2))
    total = 0.0
    for rows, block in fold.context.history(users).blocks(BLOCK):
        found, _ = top_k_scores(recommender._score(block), K, seen=(block.indptr, block.item))
        wanted = relevant.select(rows)
        for row in range(len(block)):
            right = wanted.item[wanted.indptr[row] : wanted.indptr[row + 1]]
            gain = np.isin(found[row], right)
            total += float(discount[: len(gain)] @ gain) / float(discount[: min(len(right), K)].sum())
    return total / max(len(users), 1)


RMSE = ("rmse", rmse, False)
NDCG = ("ndcg@10", ndcg, True)


def liked(history: History) -> History:
    """What a sequence is made of: interactions seen but not liked are left out."""
    return history if (history.weight > 0).all() else history.keep(history.weight > 0)


def left_out(history: History) -> History:
    """One history -> as many copies as it has interactions, each without one of them."""
    length = len(history.item)
    return history.select(np.zeros(length, np.int64)).keep(~np.eye(length, dtype=bool).ravel())


def load_weights(network: nn.Module, weights: storage.Tensors, *, prefix: str = "") -> None:
    """Give `network` the arrays whose names start with `prefix`."""
    import torch

    inside = {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix)}
    network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in inside.items()})
    network.eval()


def weights_of(network: nn.Module) -> storage.Tensors:
    """The network's weights as arrays of their own."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in network.state_dict().items()}


def forget(weights: storage.Tensors, table: str, met: npt.NDArray[np.int64]) -> None:
    """Set the embeddings of rows never met in training, `met` `[n]` zero, to zero: what dropout taught they may be."""
    weights[table][met == 0] = 0


def take_from(folder: str, recommender: Any, network: nn.Module) -> str:
    """Start `network` with the weights of a saved recommender of the same class; what was taken, in a line.

    folder: a saved recommender, or a run that holds exactly one of the class. Tables whose rows belong to items
    (`item_*`) or users (`user_*`) are taken id by id, or not at all without `init_ids`.
    """
    from genre.training.transfer import take_weights

    source = type(recommender).load(_saved_in(Path(folder), type(recommender)))
    owners = {}
    for name in network.state_dict():
        for owner in ("item", "user"):
            if name.startswith(f"{owner}_id") or name == f"{owner}_bias":
                owners[name] = (getattr(source, f"{owner}_ids_"), getattr(recommender, f"{owner}_ids_"))
    weights = {name: value for name, value in source.weights_.items() if recommender.init_ids or name not in owners}
    taken = take_weights(network, weights, owners)
    return f"weights from {folder}: {taken}"


def start_manifests(recommender: Recommender) -> list[str]:
    """What stands now in each folder that it, or a recommender inside it, is started from: part of a key."""
    inside = (one for one in within(recommender) if isinstance(one, NetworkRecommender) and one.init_from is not None)
    return [json.dumps(storage.read_manifest(_saved_in(Path(str(one.init_from)), type(one)))) for one in inside]


def _saved_in(folder: Path, cls: type[Recommender]) -> Path:
    """Where a `cls` is saved: in the folder itself, in that of a run's recommender, or among all of a run."""
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


def layers_of(weights: storage.Tensors, name: str) -> Layers:
    """The layers saved as `name.0`, `name.1`, ..., ready for `through`."""
    n = sum(1 for key in weights if key.startswith(f"{name}.") and key.endswith(".weight"))
    return [(np.ascontiguousarray(weights[f"{name}.{at}.weight"].T), weights[f"{name}.{at}.bias"]) for at in range(n)]


def through(x: Float32, layers: Layers) -> Float32:
    """ReLU, then a layer, until the last: from the first layer's sums `[n, in]`, which are overwritten, `[n, out]`."""
    for weight, bias in layers:
        np.maximum(x, 0, out=x)
        x = x @ weight
        x += bias
    return x


def through_all(users: Float32, items: Float32, layers: Layers) -> Float32:
    """`through` for each user `[n, hidden]` with each item `[m, hidden]`, the two halves of the first layer. [n, m]"""
    from genre.kernels.layers import score_pairs
    from genre.kernels.simd import STEP

    widths = np.array([len(weight) for weight, _ in layers] + [1], np.int64)
    most = -(-int(widths.max()) // STEP) * STEP
    weights, biases = np.zeros((len(layers), most, most), np.float32), np.zeros((len(layers), most), np.float32)
    for layer, (weight, bias) in enumerate(layers):
        weights[layer, : weight.shape[1], : len(weight)] = weight.T
        biases[layer, : len(bias)] = bias
    out = np.empty((len(users), len(items)), np.float32)
    score_pairs(np.ascontiguousarray(users), items, weights, biases, widths, out)
    return out
