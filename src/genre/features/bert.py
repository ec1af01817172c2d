"""A BERT sentence encoder on onnxruntime: safetensors weights and a tokenizer in, unit vectors out.

What sentence-transformers computes for such a model (mean of the token vectors, length one), for fewer CPU seconds:

- texts of equal length share a batch, so that nothing is padded and no mask is needed. A text's vector does not depend
  on the other texts of its batch, which a cache needs;
- batches are small enough to stay in the processor's cache and run one to a thread, several at once.

Knows nothing about caches or where the files come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from genre import storage
from genre.arrays import Float32, Int64
from genre.errors import NotAvailable
from genre.threads import n_threads

BATCH_TOKENS = 512  # activations of 3 MB; 256 and 1,024 were within 3 %, 4,096 cost a tenth more


class Bert:
    """A model read from a folder with `config.json`, `model.safetensors` and `tokenizer.json`.

    Attributes:
        dim: Values of a vector.
        threads: Batches computed at once.
    """

    def __init__(self, folder: Path, *, max_length: int, threads: int | None = None) -> None:
        """Load the model.

        Args:
            folder: Where the three files are.
            max_length: Tokens of a text that are read, the marks of its start and end included.
            threads: Batches computed at once; None: the `threads` of the config.

        Raises:
            NotAvailable: A package of the `text` extra is missing.
            DataError: The model is no BERT with GELU activation.
        """
        try:
            from tokenizers import Tokenizer

            from genre.features.bert_graph import build_graph
        except ImportError as error:
            raise NotAvailable("reading texts needs onnx and onnxruntime: pip install 'genre-rec[text]'") from error
        config = storage.read_json(folder / "config.json")
        self.dim = int(config["hidden_size"])
        self.threads = threads or n_threads()
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length)
        self._session = _session(*build_graph(config, storage.read_tensors(folder / "model.safetensors")))

    def vectors(self, texts: Sequence[str]) -> Iterator[tuple[Int64, Float32]]:
        """Encode texts, batch by batch in no particular order.

        Args:
            texts: Any number of texts.

        Yields:
            Positions in `texts` `[n_batch]` and their unit vectors `[n_batch, dim]`.
        """
        tokens = [np.array(found.ids, np.int64) for found in self._tokenizer.encode_batch_fast(list(texts))]
        batches = equal_length_batches(np.array([len(row) for row in tokens], np.int64))
        with ThreadPoolExecutor(self.threads) as pool:
            yield from zip(batches, pool.map(lambda rows: self._run(tokens, rows), batches), strict=True)

    def _run(self, tokens: list[Int64], rows: Int64) -> Float32:
        """Encode the texts in `rows`, which have equally many tokens, into [n_batch, dim]."""
        hidden = self._session.run(None, {"ids": np.stack([tokens[row] for row in rows])})[0]  # [n_batch, length, dim]
        mean = hidden.mean(axis=1)  # not in the graph: there the last bit depends on the size of the batch
        return np.asarray(mean / np.linalg.norm(mean, axis=1, keepdims=True), np.float32)


def equal_length_batches(lengths: Int64) -> list[Int64]:
    """Group texts by length, so that no batch needs padding.

    Args:
        lengths: Tokens of each text. [n]

    Returns:
        Positions a batch: at most `BATCH_TOKENS` tokens together, or one text.
    """
    order = np.argsort(lengths, kind="stable")
    starts = np.flatnonzero(np.diff(lengths[order], prepend=-1))
    batches = []
    for group in np.split(order, starts[1:]) if len(order) else []:
        size = max(1, BATCH_TOKENS // int(lengths[group[0]]))
        batches += [group[start : start + size] for start in range(0, len(group), size)]
    return batches


def _session(model: bytes, weights: dict[str, Float32]) -> Any:
    """Open a session with one thread inside an operator: two that wait for one another cost more CPU than they save."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    values = [ort.OrtValue.ortvalue_from_numpy(array) for array in weights.values()]
    options.add_external_initializers(list(weights), values)
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
