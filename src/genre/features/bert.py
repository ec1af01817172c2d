"""A BERT sentence encoder on onnxruntime: safetensors weights and a tokenizer in, unit vectors out.

What sentence-transformers computes for such a model (mean of the token vectors, length one), for fewer CPU seconds:

- texts of equal length share a batch, so that nothing is padded and no mask is needed. A text's vector does not depend
  on its batch-mates, which a cache needs;
- batches are small enough to stay in the processor's cache and run one to a thread, several at once;
- residuals and biases go into the matrix products (see `_block`).

Knows nothing about caches or where the files come from.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from genre import storage
from genre.arrays import Float32, Int64
from genre.errors import DataError, NotAvailable
from genre.features.onnx_graph import INT64, MICROSOFT, Graph

BATCH_TOKENS = 512  # activations of 3 MB; 256 and 1,024 were within 3 %, 4,096 cost a tenth more


class Bert:
    """A model read from a folder with `config.json`, `model.safetensors` and `tokenizer.json`.

    max_length: tokens of a text that are read, its two marks included. threads: batches at once; None: every core.
    """

    def __init__(self, folder: Path, *, max_length: int, threads: int | None = None) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise NotAvailable("reading texts needs onnxruntime: pip install 'genre-rec[text]'") from error
        config = storage.read_json(folder / "config.json")
        self.dim = int(config["hidden_size"])
        self.threads = threads or getattr(os, "process_cpu_count", os.cpu_count)() or 1
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length)
        self._session = _session(build_graph(config, storage.read_tensors(folder / "model.safetensors")))

    def vectors(self, texts: Sequence[str]) -> Iterator[tuple[Int64, Float32]]:
        """`(positions, their unit vectors [b, dim])`, batch by batch in no particular order."""
        tokens = [np.array(found.ids, np.int64) for found in self._tokenizer.encode_batch_fast(list(texts))]
        batches = equal_length_batches(np.array([len(row) for row in tokens], np.int64))
        with ThreadPoolExecutor(self.threads) as pool:
            yield from zip(batches, pool.map(lambda rows: self._run(tokens, rows), batches), strict=True)

    def _run(self, tokens: list[Int64], rows: Int64) -> Float32:
        hidden = self._session.run(None, {"ids": np.stack([tokens[row] for row in rows])})[0]  # [b, length, dim]
        mean = hidden.mean(axis=1)  # not in the graph: there the last bit depends on the size of the batch
        return np.asarray(mean / np.linalg.norm(mean, axis=1, keepdims=True), np.float32)


def equal_length_batches(lengths: Int64) -> list[Int64]:
    """Positions grouped by length, at most `BATCH_TOKENS` tokens a group, or one text."""
    order = np.argsort(lengths, kind="stable")
    starts = np.flatnonzero(np.diff(lengths[order], prepend=-1))
    batches = []
    for group in np.split(order, starts[1:]) if len(order) else []:
        size = max(1, BATCH_TOKENS // int(lengths[group[0]]))
        batches += [group[start : start + size] for start in range(0, len(group), size)]
    return batches


def build_graph(config: dict[str, Any], weights: storage.Tensors) -> tuple[bytes, dict[str, Float32]]:
    """Token ids `ids` `[b, length]` -> hidden states `[b, length, dim]`, as ONNX bytes and the arrays they need."""
    if config.get("model_type") != "bert" or config.get("hidden_act") != "gelu":
        raise DataError("only BERT models with the gelu activation can be run; name others by a hub id")
    graph, dim, n_layers = Graph(), int(config["hidden_size"]), int(config["num_hidden_layers"])
    layers = [_Layer(weights, f"encoder.layer.{number}.", config) for number in range(n_layers)]
    sizes = graph.add("Concat", graph.add("Shape", "ids"), graph.constant([dim]), axis=0)  # b, length, dim
    flat = graph.constant([-1, dim])
    place = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    length = graph.add("Shape", "ids", start=1, end=2)
    token = graph.add("Gather", graph.weight(weights["embeddings.word_embeddings.weight"]), "ids")
    token = graph.add("Add", token, graph.add("Slice", graph.weight(place), graph.constant([0]), length))
    token = graph.add("Reshape", token, flat)  # [tokens, dim] from here on
    hidden = _norm(graph, token, weights, "embeddings.LayerNorm", layers[0].attended_bias, config)
    for layer, following in zip(layers, [*layers[1:], None], strict=True):
        hidden = _block(graph, hidden, layer, None if following is None else following.attended_bias, (sizes, flat))
    return graph.to_bytes({"ids": (INT64, 2)}, graph.add("Reshape", hidden, sizes), 3), graph.weights


class _Layer:
    """The arrays of one transformer layer."""

    def __init__(self, weights: storage.Tensors, prefix: str, config: dict[str, Any]) -> None:
        self.weights = {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix)}
        self.config = config
        self.attended_bias: Float32 = self.weights["attention.output.dense.bias"]
        self.output_bias: Float32 = self.weights["output.dense.bias"]

    def dense(self, name: str) -> Float32:
        return np.asarray(self.weights[f"{name}.weight"].T, np.float32)  # [in, out]


def _block(graph: Graph, x: str, layer: _Layer, next_bias: Float32 | None, shapes: tuple[str, str]) -> str:
    """Attention and feed-forward, each with its residual.

    A `Gemm` adds one array to its product. It adds the residual; the bias that belongs there too was put into the
    residual by the norm before (`_norm`), and is taken off again from the biases of whatever else reads it (`_read`).
    """
    sizes, flat = shapes
    heads = [graph.add("Reshape", _read(graph, x, layer, name), sizes) for name in ("query", "key", "value")]
    attended = graph.add(
        "MultiHeadAttention", *heads, domain=MICROSOFT, num_heads=int(layer.config["num_attention_heads"])
    )
    attended = graph.add("Reshape", attended, flat)
    y = graph.add("Gemm", attended, graph.weight(layer.dense("attention.output.dense")), x)
    y = _norm(graph, y, layer.weights, "attention.output.LayerNorm", layer.output_bias, layer.config)
    widen = layer.dense("intermediate.dense")
    bias = layer.weights["intermediate.dense.bias"] - layer.output_bias @ widen
    inner = graph.add("MatMul", y, graph.weight(widen))
    inner = graph.add("BiasGelu", inner, graph.weight(bias), domain=MICROSOFT)
    out = graph.add("Gemm", inner, graph.weight(layer.dense("output.dense")), y)
    return _norm(graph, out, layer.weights, "output.LayerNorm", next_bias, layer.config)


def _read(graph: Graph, x: str, layer: _Layer, name: str) -> str:
    """One of the three projections of `x`, which has the bias of the attention's output in it."""
    weight = layer.dense(f"attention.self.{name}")
    bias = layer.weights[f"attention.self.{name}.bias"] - layer.attended_bias @ weight
    return graph.add("Gemm", x, graph.weight(weight), graph.weight(bias))


def _norm(graph: Graph, x: str, weights: storage.Tensors, name: str, added: Float32 | None, config: Any) -> str:
    """Layer norm, with the bias `added` that the residual will need."""
    shift = weights[f"{name}.bias"] if added is None else weights[f"{name}.bias"] + added
    epsilon = float(config["layer_norm_eps"])
    scale = graph.weight(weights[f"{name}.weight"])
    return graph.add("LayerNormalization", x, scale, graph.weight(shift), axis=-1, epsilon=epsilon)


def _session(model: tuple[bytes, dict[str, Float32]]) -> Any:
    """One thread inside an operator: two that spin for one another cost more CPU seconds than they save."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    graph, weights = model
    values = [ort.OrtValue.ortvalue_from_numpy(array) for array in weights.values()]
    options.add_external_initializers(list(weights), values)
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
