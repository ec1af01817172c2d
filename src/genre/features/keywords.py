"""What words a catalogue's texts share: counts, weights, and the words an item has in common with a history."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from genre.features.tokens import keywords
from genre.log import SILENT, Log

Float64 = npt.NDArray[np.float64]


def count_words(
    texts: Sequence[str],
    *,
    vocabulary: Sequence[str] | None = None,
    words_of: Callable[[str], list[str]] = keywords,
    log: Log = SILENT,
) -> tuple[sp.csr_matrix, list[str]]:
    """`(counts [n, n_words], words)`. Without `vocabulary` all that occur, in alphabetical order."""
    grow = vocabulary is None
    known = {} if vocabulary is None else {word: at for at, word in enumerate(vocabulary)}
    indptr, indices = [0], list[int]()
    for text in log.track(texts, "words"):
        for word in words_of(text):
            at = known.setdefault(word, len(known)) if grow else known.get(word, -1)
            if at >= 0:
                indices.append(at)
        indptr.append(len(indices))
    counts = sp.csr_matrix(
        (np.ones(len(indices), np.float32), np.array(indices, np.int64), np.array(indptr, np.int64)),
        shape=(len(texts), len(known)),
    )
    counts.sum_duplicates()
    if vocabulary is not None:
        return counts, list(vocabulary)
    words = sorted(known)
    return counts[:, [known[word] for word in words]], words


def inverse_document_frequency(counts: sp.csr_matrix) -> Float64:
    """How telling each word is: ln((1 + n) / (1 + texts that have it)) + 1. [n_words]"""
    having = np.bincount(counts.indices, minlength=counts.shape[1])
    return np.asarray(np.log((1 + counts.shape[0]) / (1 + having)) + 1, np.float64)


class Keywords:
    """The words of every item's text, for saying what items have in common.

    texts: one an item.
    """

    def __init__(self, texts: Sequence[str], *, log: Log = SILENT) -> None:
        self._counts, self.words = count_words(texts, log=log)
        self._counts.data[:] = 1
        self._weights = inverse_document_frequency(self._counts) - 1  # zero for what every text has

    def of(self, item: int, *, most: int = 4) -> tuple[str, ...]:
        """The most telling words of one item."""
        mine = self._row(item)
        return self._best(mine, self._weights[mine], most)

    def shared(self, item: int, history: Sequence[int] | npt.NDArray[np.int32], *, most: int = 4) -> tuple[str, ...]:
        """The words an item has in common with other items, weighted by idf and by how many of those have them."""
        mine = self._row(item)
        others = self._counts[np.asarray([row for row in history if row != item], np.int64)]
        having = np.asarray(others.sum(axis=0)).ravel()[mine]
        return self._best(mine[having > 0], (self._weights[mine] * np.log1p(having))[having > 0], most)

    def _row(self, item: int) -> npt.NDArray[np.int32]:
        found: npt.NDArray[np.int32] = self._counts.indices[self._counts.indptr[item] : self._counts.indptr[item + 1]]
        return np.sort(found)

    def _best(self, words: npt.NDArray[np.int32], weights: Float64, most: int) -> tuple[str, ...]:
        order = np.argsort(-weights, kind="stable")[:most]
        return tuple(self.words[at] for at in words[order[weights[order] > 0]])
