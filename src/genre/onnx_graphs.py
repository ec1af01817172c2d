"""The scores of fitted recommenders as ONNX graphs, written with the `onnx` library from what they have learnt.

Networks read padded histories, oldest first: `items` (rows, -1 behind the end) `[n, length]`, and with them `weights`,
`ratings` or `times` as each needs; `user` is a row of the users that it was trained on, -1 for any other. Formulas and
names are those of the recommenders' files. Does not know files or runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from genre.arrays import Float32
from genre.data.history import History
from genre.errors import NotSupported
from genre.recommenders.base import Recommender
from genre.recommenders.factors import Factors
from genre.recommenders.feed_forward import Layers, layers_of
from genre.recommenders.item_weights import ItemWeights
from genre.recommenders.mlp import MLP, OFFSET_DAMPING
from genre.recommenders.ncf import NCF
from genre.recommenders.network_base import liked
from genre.recommenders.sasrec import SASRec
from genre.recommenders.two_tower import TwoTower
from genre.storage import Tensors

LARGEST = 2_000_000_000  # bytes of the arrays inside an ONNX file, whose format ends at 2 GiB
OPSET, IR_VERSION = 17, 9
NEVER = -1e30  # the score of a position that attention must not see
GAP_BUCKETS = 31  # the last bucket of `networks.padding.gap_buckets`
ROUNDING = 1e-11  # a quotient of logarithms may be that much below a whole number

Inputs = dict[str, npt.NDArray[Any]]
Operand = str | float | int | npt.NDArray[Any] | Sequence[int]


class Graph:
    """Operators in the order of their use; arrays and numbers among their operands are kept in the file."""

    def __init__(self, inputs: Inputs) -> None:
        """Begin with the inputs.

        Args:
            inputs: An example of each, by name. How many histories there are is free, and the length of padded ones.
        """
        self.inputs = inputs
        self._nodes: list[NodeProto] = []
        self._tensors: list[TensorProto] = []
        self._bytes = 0

    def __call__(self, operator: str, *operands: Operand, **attributes: Any) -> str:
        """Apply an operator of ONNX; return the name of its result."""
        name = f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, [self._name(one) for one in operands], [name], **attributes))
        return name

    def layers(self, x: str, layers: Layers) -> str:
        """Apply feed-forward layers, a ReLU before each of them.

        Args:
            x: The first layer's sums.
            layers: The layers after the first.

        Returns:
            The last layer's sums.
        """
        for weight, bias in layers:
            x = self("Add", self("MatMul", self("Relu", x), weight), bias)
        return x

    def total(self, x: str, axis: int, *, keep: bool = False) -> str:
        """Sum over one axis.

        Args:
            x: What is summed.
            axis: The axis.
            keep: Keep it, of length one.

        Returns:
            The sum.
        """
        return self("ReduceSum", x, [axis], keepdims=int(keep))

    def model(self, scores: str, n_items: int) -> ModelProto:
        """Return the checked model.

        Args:
            scores: What it computes, its output `scores`. `[n, n_items]`
            n_items: Number of items.

        Returns:
            The model.

        Raises:
            NotSupported: Its arrays are too large for the format.
        """
        if self._bytes > LARGEST:
            raise NotSupported(
                f"onnx: arrays of {self._bytes / 1e9:.1f} GB are beyond the format; export it with --to folder"
            )
        self._nodes.append(helper.make_node("Identity", [scores], ["scores"]))
        given = []
        for name, value in self.inputs.items():
            kind = TensorProto.INT64 if value.dtype == np.int64 else TensorProto.FLOAT
            second = value.shape[1:] if name in ("history", "queries") else ("length",) * (value.ndim - 1)
            given.append(helper.make_tensor_value_info(name, kind, ["n", *second]))
        out = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", n_items])]
        graph = helper.make_graph(self._nodes, "scores", given, out, self._tensors)
        made = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)])
        checker.check_model(made)
        return made

    def _name(self, operand: Operand) -> str:
        if isinstance(operand, str):
            return operand
        kind = np.float32 if isinstance(operand, float) else np.int64
        array = operand if isinstance(operand, np.ndarray) else np.asarray(operand, kind)
        self._bytes += array.nbytes
        self._tensors.append(numpy_helper.from_array(np.asarray(array, order="C"), f"t{len(self._tensors)}"))
        return self._tensors[-1].name


def graph_of(model: Recommender, history: History) -> tuple[ModelProto, Inputs]:
    """Write the graph that scores as a recommender does.

    Args:
        model: A fitted recommender.
        history: `n` histories, for example inputs.

    Returns:
        The model, and its inputs for these histories.

    Raises:
        NotSupported: There is no graph for this kind of recommender, or it is too large for the format.
    """
    if isinstance(model, ItemWeights) and model.history_half_life is None:
        weights: Any = model.item_weights_
        dense = np.asarray(weights.toarray() if hasattr(weights, "toarray") else weights, np.float32)
        return _product({"history": np.asarray(history.matrix().toarray(), np.float32)}, dense)
    if isinstance(model, TwoTower):
        return _two_tower(model, history)
    if isinstance(model, NCF):
        return _ncf(model, history)
    if isinstance(model, MLP):
        return _mlp(model, history)
    if isinstance(model, SASRec):
        return _sasrec(model, history)
    factors = model.as_factors(history) if isinstance(model, Factors) else None
    if factors is None:
        raise NotSupported(
            f"onnx: no graph for the scores of {type(model).__name__}; use --to folder, or --using an item-item or "
            "factor model or a network of the run"
        )
    return _product({"queries": np.asarray(factors[0], np.float32)}, factors[1].T)


def padded(history: History, values: Mapping[str, npt.NDArray[Any] | None]) -> Inputs:
    """Lay histories beside each other.

    Args:
        history: `n` histories.
        values: What goes along with each interaction, by name; None is left out. `[nnz]` each

    Returns:
        `items`, -1 behind the end, and the values, 0 there. `[n, length]` each
    """
    real = np.arange(max(int(history.lengths.max(initial=0)), 1)) < history.lengths[:, None]
    items = np.full(real.shape, -1, np.int64)
    items[real] = history.item
    inputs: Inputs = {"items": items}
    for name, value in values.items():
        if value is not None:
            inputs[name] = np.zeros(real.shape, np.int64 if name == "times" else np.float32)
            inputs[name][real] = value
    return inputs


def _product(inputs: Inputs, matrix: Float32) -> tuple[ModelProto, Inputs]:
    """Multiply the one input with a matrix."""
    op, (name,) = Graph(inputs), inputs
    return op.model(op("MatMul", name, np.asarray(matrix, np.float32)), matrix.shape[1]), inputs


def _pairs(op: Graph, users: str, items: Float32, layers: Layers) -> str:
    """Score each user's half of a first layer with each item's, `[n, n_items]`."""
    return op("Squeeze", op.layers(op("Add", op("Unsqueeze", users, [1]), items), layers), [2])


def _known(op: Graph, table: Float32) -> str:
    """Look up what is known of each user; zeros for an unknown one, `[n, width]`."""
    rows = np.concatenate([table, np.zeros((1, table.shape[1]), np.float32)])
    return op("Gather", rows, op("Where", op("Less", "user", 0), len(table), "user"))


def _real(op: Graph, *, likes: bool) -> str:
    """Tell 1.0 for interactions that count from 0.0 for others and for padding, `[n, length]`."""
    real = op("GreaterOrEqual", "items", 0)
    return op("Cast", op("And", real, op("Greater", "weights", 0.0)) if likes else real, to=TensorProto.FLOAT)


def _pool(op: Graph, share: str, table: Float32) -> str:
    """Sum the rows of the items of each history by their shares, `[n, width]`."""
    rows = op("Gather", table, op("Max", "items", 0))  # [n, length, width]
    return op.total(op("Mul", rows, op("Unsqueeze", share, [2])), 1)


def _two_tower(model: TwoTower, history: History) -> tuple[ModelProto, Inputs]:
    inputs = padded(history, {"weights": history.weight}) | {"user": history.user.astype(np.int64)}
    op, weights = Graph(inputs), model.weights_
    real = _real(op, likes=True)
    weight, length = op("Mul", "weights", real), op.total(real, 1, keep=True)
    share = op("Div", weight, op("Add", op.total(weight, 1, keep=True), 1.0))
    numbers = op("Mul", op("Log", op("Add", length, 1.0)), weights["user_first.weight"][:, -1])
    first = op("Add", op("Add", _pool(op, share, model.pool_half_), numbers), _known(op, model.known_half_))
    query = op.layers(op("Add", first, weights["user_first.bias"]), layers_of(weights, "user_rest"))
    query = op("Div", query, op("Max", op("ReduceL2", query, axes=[1], keepdims=1), 1e-12))
    table = np.ascontiguousarray(model.item_table_.T)
    return op.model(op("MatMul", op("Div", query, model.temperature), table), table.shape[1]), inputs


def _ncf(model: NCF, history: History) -> tuple[ModelProto, Inputs]:
    inputs = padded(history, {"weights": history.weight}) | {"user": history.user.astype(np.int64)}
    op, weights, dim = Graph(inputs), model.weights_, model.dim
    real = _real(op, likes=True)
    share = op("Div", op("Mul", "weights", real), op("Sqrt", op("Add", op.total(real, 1, keep=True), 1.0)))
    users = op("Add", _pool(op, share, weights["item_pool.weight"]), _known(op, weights["user_id.weight"]))
    p, network = op("Slice", users, [0], [dim], [1]), op("Slice", users, [dim], [2 * dim], [1])
    half = op("MatMul", network, np.ascontiguousarray(weights["first.weight"][:, :dim].T))
    scores = _pairs(op, half, model.item_half_, layers_of(weights, "layers"))
    scores = op("Add", scores, op("MatMul", p, np.ascontiguousarray(model.item_factors_.T)))
    return op.model(op("Add", scores, weights["item_bias"]), len(weights["item_bias"])), inputs


def _mlp(model: MLP, history: History) -> tuple[ModelProto, Inputs]:
    rated = model.on_ratings_
    given = {"ratings": history.rating} if rated else {"weights": history.weight}
    if rated and history.rating is None:
        raise NotSupported("onnx: this network reads ratings, and the data has none; use --to folder")
    inputs = padded(history, given) | {"user": history.user.astype(np.int64)}
    op, width = Graph(inputs), model.hidden[0]
    real, safe = _real(op, likes=False), op("Max", "items", 0)
    usual = op("Add", op("Gather", model.item_offset_, safe), float(model.mean_))
    deviation = op("Mul", op("Sub", "ratings", usual) if rated else "weights", real)  # d_j
    length = op.total(real, 1, keep=True)
    total = op("Div", op.total(deviation, 1, keep=True), op("Add", length, float(OFFSET_DAMPING)))
    offset = op("Mul", total, float(rated))  # [n, 1]
    weight = op("Mul", op("Gather", model.pool_weight_, safe), real)  # a_j
    share = op("Mul", weight, op("Sub", deviation, offset))
    share = op("Div", share, op("Add", op.total(weight, 1, keep=True), 1.0))
    numbers = op("Concat", offset, op("Log", op("Add", length, 1.0)), axis=1)
    columns = np.ascontiguousarray(model._user_columns("numbers").T)
    half = op("Add", _pool(op, share, model.pool_half_), op("MatMul", numbers, columns))
    half = op("Add", half, _known(op, model.known_half_))
    first = op("Slice", half, [0], [width], [1])
    scores = _pairs(op, first, model.item_half_[:, :width], layers_of(model.weights_, "layers"))
    if model.dot:
        rest = op("Slice", half, [width], [width + model.dot], [1])
        scores = op("Add", scores, op("MatMul", rest, np.ascontiguousarray(model.item_half_[:, width:].T)))
    constant = op("Add", op("Mul", offset, float(model.biases)), float(model.mean_))
    return op.model(op("Add", op("Add", scores, model.item_bias_), constant), len(model.item_bias_)), inputs


def _sasrec(model: SASRec, history: History) -> tuple[ModelProto, Inputs]:
    newest = liked(history).last(model.max_length - 1)
    inputs = padded(newest, {"times": newest.timestamp if model.time else None})
    op, dim, table = Graph(inputs), model.dim, model.item_table_
    learnt: Tensors = vars(model)["weights_"]
    weights = {name.removeprefix("reader."): array for name, array in learnt.items()}
    n, place = op("Shape", "items", start=0, end=1), op("Shape", "items", start=1, end=2)
    x = op("Gather", table, op("Max", "items", 0))  # [n, length, dim]
    if model.time:
        x = op("Add", x, op("Gather", weights["gap.weight"], _gap_buckets(op)))
    start = op("Expand", weights["start"].reshape(1, 1, dim), op("Concat", n, [1, dim], axis=0))
    length = op("Add", place, 1)  # the start mark is a position
    x = op("Concat", start, x, axis=1)
    x = op("Add", x, op("Slice", weights["position.weight"], [0], length, [0]))
    position = op("Range", 0, op("Squeeze", length, [0]), 1)
    later = op("Greater", op("Unsqueeze", position, [0]), op("Unsqueeze", position, [1]))  # [length, length]
    for at in range(model.blocks):
        block = f"blocks.{at}."
        own = {name.removeprefix(block): array for name, array in weights.items() if name.startswith(block)}
        x = _transformer_block(op, x, own, later, model.heads, dim)
    last = op.total(op("Cast", op("GreaterOrEqual", "items", 0), to=TensorProto.INT64), 1, keep=True)  # [n, 1]
    chosen = op("Cast", op("Equal", op("Unsqueeze", position, [0]), last), to=TensorProto.FLOAT)
    query = op.total(op("Mul", _norm(op, x, weights, "norm"), op("Unsqueeze", chosen, [2])), 1)  # [n, dim]
    return op.model(op("MatMul", query, np.ascontiguousarray(table.T)), len(table)), inputs


def _gap_buckets(op: Graph) -> str:
    """Compute the buckets of `networks.padding.gap_buckets`, `[n, length]`."""
    before = op("Concat", op("Slice", "times", [0], [1], [1]), op("Slice", "times", [0], [-1], [1]), axis=1)
    gap = op("Cast", op("Max", op("Sub", "times", before), 0), to=TensorProto.DOUBLE)
    one, rounding, log_2 = np.float64(1), np.float64(1 + ROUNDING), np.float64(math.log(2))
    doublings = op("Div", op("Log", op("Add", gap, np.asarray(one))), np.asarray(log_2))
    bucket = op("Min", op("Cast", op("Add", doublings, np.asarray(rounding)), to=TensorProto.INT64), GAP_BUCKETS)
    position = op("Range", 0, op("Squeeze", op("Shape", "times", start=1, end=2), [0]), 1)
    return op("Mul", bucket, op("Min", position, 1))  # the first interaction of a history has none before it


def _transformer_block(op: Graph, x: str, weights: Mapping[str, Float32], later: str, heads: int, dim: int) -> str:
    """Apply what `networks.sasrec.TransformerBlock` does, without dropout."""
    mixed = _linear(op, _norm(op, x, weights, "before_attention"), weights, "queries_keys_values")
    split = op("Transpose", op("Reshape", mixed, [0, 0, 3, heads, dim // heads]), perm=[2, 0, 3, 1, 4])
    q, k, v = (op("Gather", split, at, axis=0) for at in range(3))  # [n, heads, length, dim / heads] each
    near = op("MatMul", q, op("Transpose", k, perm=[0, 1, 3, 2]))
    near = op("Where", later, NEVER, op("Mul", near, 1 / math.sqrt(dim // heads)))
    seen = op("Transpose", op("MatMul", op("Softmax", near, axis=-1), v), perm=[0, 2, 1, 3])
    x = op("Add", x, _linear(op, op("Reshape", seen, [0, 0, dim]), weights, "out"))
    up = _linear(op, _norm(op, x, weights, "before_layer"), weights, "up")
    share = op("Mul", op("Add", op("Erf", op("Mul", up, math.sqrt(0.5))), 1.0), 0.5)
    return op("Add", x, _linear(op, op("Mul", up, share), weights, "down"))


def _linear(op: Graph, x: str, weights: Mapping[str, Float32], name: str) -> str:
    return op("Add", op("MatMul", x, np.ascontiguousarray(weights[f"{name}.weight"].T)), weights[f"{name}.bias"])


def _norm(op: Graph, x: str, weights: Mapping[str, Float32], name: str) -> str:
    return op("LayerNormalization", x, weights[f"{name}.weight"], weights[f"{name}.bias"], axis=-1, epsilon=1e-5)
