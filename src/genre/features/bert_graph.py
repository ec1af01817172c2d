"""The computation graph of a BERT encoder for onnxruntime, built with the `onnx` library from a model's weights.

Residuals and biases go into the matrix products, which measured faster than adding them apart. Weights stay outside the
graph, which has a few kilobytes, and are handed to the session as arrays. Knows nothing about texts or tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from genre.arrays import Float32
from genre.errors import DataError
from genre.storage import Tensors

IR_VERSION = 8
MICROSOFT = "com.microsoft"  # onnxruntime's own operators
OPERATOR_SETS = {"": 17, MICROSOFT: 1}  # domain -> version of its operators


def build_graph(config: dict[str, Any], weights: Tensors) -> tuple[bytes, dict[str, Float32]]:
    """Build the graph from token ids `ids` `[n_batch, length]` to hidden states `[n_batch, length, dim]`.

    Args:
        config: `config.json` of the model, as Hugging Face writes it.
        weights: The model's arrays by name.

    Returns:
        The serialised ONNX model, and the arrays that the session needs beside it.

    Raises:
        DataError: The model is no BERT with GELU activation.
    """
    if config.get("model_type") != "bert" or config.get("hidden_act") != "gelu":
        raise DataError("only BERT models with the gelu activation can be run; name others by a hub id")
    graph, dim = _Graph(), int(config["hidden_size"])
    layers = [_Layer(weights, f"encoder.layer.{number}.", config) for number in range(int(config["num_hidden_layers"]))]
    sizes = graph.add("Concat", graph.add("Shape", "ids"), graph.constant([dim]), axis=0)  # n_batch, length, dim
    flat = graph.constant([-1, dim])
    hidden = graph.add("Reshape", _embed(graph, weights), flat)  # [n_batch * length, dim] from here on
    hidden = _norm(graph, hidden, weights, "embeddings.LayerNorm", layers[0].attended_bias, config)
    for layer, following in zip(layers, [*layers[1:], None], strict=True):
        hidden = _block(graph, hidden, layer, None if following is None else following.attended_bias, (sizes, flat))
    return graph.serialise(graph.add("Reshape", hidden, sizes), dim), graph.weights


class _Graph:
    """Operators and arrays in the order of their use; each method returns the name of what it adds."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self.weights: dict[str, Float32] = {}

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Apply an operator of ONNX, or of `domain`."""
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], domain=domain, **attributes))
        return name

    def weight(self, array: Float32) -> str:
        """Add a float32 array that the session is given beside the graph."""
        name = f"w{len(self.weights)}"
        self.weights[name] = np.ascontiguousarray(array, np.float32)
        external = TensorProto(
            name=name, data_type=TensorProto.FLOAT, dims=array.shape, data_location=TensorProto.EXTERNAL
        )
        external.external_data.add(key="location", value="weights")  # never opened: the session has the array
        self.initializers.append(external)
        return name

    def constant(self, values: Sequence[int]) -> str:
        """Add a short list of whole numbers inside the graph."""
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(values, np.int64), name))
        return name

    def serialise(self, output: str, dim: int) -> bytes:
        """Return the model as bytes; `output` is what it computes, [n_batch, length, dim]."""
        ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["n_batch", "length"])
        hidden = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n_batch", "length", dim])
        graph = helper.make_graph(self.nodes, "bert", [ids], [hidden], self.initializers)
        versions = [helper.make_opsetid(domain, version) for domain, version in OPERATOR_SETS.items()]
        model: bytes = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=versions).SerializeToString()
        return model


class _Layer:
    """The arrays of one transformer layer."""

    def __init__(self, weights: Tensors, prefix: str, config: dict[str, Any]) -> None:
        self.weights = {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix)}
        self.config = config
        self.attended_bias: Float32 = self.weights["attention.output.dense.bias"]
        self.output_bias: Float32 = self.weights["output.dense.bias"]

    def dense(self, name: str) -> Float32:
        """Return the matrix of a linear layer, [n_in, n_out]."""
        return np.asarray(self.weights[f"{name}.weight"].T, np.float32)


def _embed(graph: _Graph, weights: Tensors) -> str:
    """Add up the embeddings of word, position and (the one) segment, [n_batch, length, dim]."""
    place = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    length = graph.add("Shape", "ids", start=1, end=2)
    token = graph.add("Gather", graph.weight(weights["embeddings.word_embeddings.weight"]), "ids")
    return graph.add("Add", token, graph.add("Slice", graph.weight(place), graph.constant([0]), length))


def _block(graph: _Graph, x: str, layer: _Layer, next_bias: Float32 | None, shapes: tuple[str, str]) -> str:
    """Add attention and feed-forward, each with its residual.

    A `Gemm` adds one array to its product. It adds the residual; the bias that belongs there too was put into the
    residual by the norm before (`_norm`), and is taken off again from the biases of whatever else reads it
    (`_project`).
    """
    sizes, flat = shapes
    heads = [graph.add("Reshape", _project(graph, x, layer, name), sizes) for name in ("query", "key", "value")]
    attended = graph.add(
        "MultiHeadAttention", *heads, domain=MICROSOFT, num_heads=int(layer.config["num_attention_heads"])
    )
    attended = graph.add("Reshape", attended, flat)
    y = graph.add("Gemm", attended, graph.weight(layer.dense("attention.output.dense")), x)
    y = _norm(graph, y, layer.weights, "attention.output.LayerNorm", layer.output_bias, layer.config)
    widen = layer.dense("intermediate.dense")  # [dim, 4 * dim]
    bias = layer.weights["intermediate.dense.bias"] - layer.output_bias @ widen
    inner = graph.add("MatMul", y, graph.weight(widen))
    inner = graph.add("BiasGelu", inner, graph.weight(bias), domain=MICROSOFT)
    out = graph.add("Gemm", inner, graph.weight(layer.dense("output.dense")), y)
    return _norm(graph, out, layer.weights, "output.LayerNorm", next_bias, layer.config)


def _project(graph: _Graph, x: str, layer: _Layer, name: str) -> str:
    """Add query, key or value: a projection of `x`, which has the bias of the attention's output in it."""
    weight = layer.dense(f"attention.self.{name}")
    bias = layer.weights[f"attention.self.{name}.bias"] - layer.attended_bias @ weight
    return graph.add("Gemm", x, graph.weight(weight), graph.weight(bias))


def _norm(graph: _Graph, x: str, weights: Tensors, name: str, added: Float32 | None, config: dict[str, Any]) -> str:
    """Add a layer norm, whose shift includes the bias `added` that the residual will need."""
    shift = weights[f"{name}.bias"] if added is None else weights[f"{name}.bias"] + added
    epsilon = float(config["layer_norm_eps"])
    scale = graph.weight(weights[f"{name}.weight"])
    return graph.add("LayerNormalization", x, scale, graph.weight(shift), axis=-1, epsilon=epsilon)
