"""Models of the sentence-transformers library, from a hub or a folder. Knows nothing about caches."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from genre.arrays import Float32, Int64
from genre.errors import NotAvailable

AT_ONCE = 512


class HubModel:
    """A sentence-transformers model by its id or folder.

    Attributes:
        dim: Values of a vector.
        identity: A digest of the weights.
    """

    def __init__(self, name: str, device: str = "cpu") -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise NotAvailable(
                f"model {name!r} needs sentence-transformers: pip install 'genre-rec[hub]'; `model: minilm` does not"
            ) from error
        try:
            self._model: Any = SentenceTransformer(name, device=device)
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise NotAvailable(f"model {name!r}: {reason}; `model: minilm` comes from the package index") from error
        self.dim = int(self._model.encode(["a"]).shape[1])
        found = hashlib.blake2b(digest_size=16)
        for key, tensor in sorted(self._model.state_dict().items()):
            found.update(key.encode() + tensor.float().cpu().numpy().tobytes())
        self.identity = found.hexdigest()

    def vectors(self, texts: Sequence[str]) -> Iterator[tuple[Int64, Float32]]:
        """Encode texts, longest first, as sentence-transformers batches them.

        Args:
            texts: Any number of texts.

        Yields:
            Positions in `texts` `[n_batch]` and their unit vectors `[n_batch, dim]`.
        """
        order = np.argsort([-len(text) for text in texts], kind="stable")
        for start in range(0, len(order), AT_ONCE):
            rows = order[start : start + AT_ONCE]
            found = self._model.encode([texts[row] for row in rows], normalize_embeddings=True, show_progress_bar=False)
            yield rows, np.asarray(found, np.float32)
