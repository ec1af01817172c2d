"""Encoder `tfidf`: words weighted by their rarity, reduced to few dimensions. Needs no pretrained model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Self

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from typing_extensions import override

from genre.arrays import Float32
from genre.data.linear_algebra import row_lengths, unit_rows
from genre.errors import DataError, NotFitted
from genre.features.base import Encoder
from genre.features.text import TEMPLATE_DOC, render
from genre.features.tokens import keywords
from genre.log import SILENT, Log
from genre.options import Doc, Ge, Search

NOISE = 1e-6  # singular values below this part of the largest are rounding


@dataclass(eq=False)
class TfIdf(Encoder):
    """Latent semantic analysis: the truncated SVD of the TF-IDF matrix; texts that use words used together are near.

    Deerwester et al., "Indexing by Latent Semantic Analysis", JASIS 1990. Words are nouns, names, verbs and adjectives
    that are no stop words, English and Chinese. Vectors have length one; a text without a known word is zero.
    """

    dim: Annotated[
        int, Ge(1), Search(32, 512, log=True), Doc("Values of a vector; fewer where the texts have fewer dimensions.")
    ] = 128
    min_count: Annotated[int, Ge(1), Doc("Words in fewer texts than this are left out.")] = 1
    template: Annotated[str, Doc(TEMPLATE_DOC)] = ""

    learns: ClassVar[tuple[str, ...]] = ("words_", "idf_", "directions_")

    @override
    def texts(self, table: pa.Table) -> list[str]:
        return render(table, self.template)

    @override
    def fit(self, table: pa.Table, *, log: Log = SILENT) -> Self:
        """Learn the words, their weights and the dimensions."""
        texts = self.texts(table)
        counts, words = count_words(texts, log=log)
        kept = np.bincount(counts.indices, minlength=len(words)) >= self.min_count
        if not kept.any():
            raise DataError(
                f"tfidf: no word is in {self.min_count} of {len(table):,} texts; check the template or lower min_count"
            )
        counts = counts[:, kept]
        self.words_ = [word for word, is_kept in zip(words, kept.tolist(), strict=True) if is_kept]
        self.idf_ = inverse_document_frequency(counts)
        weighted = self._weigh(counts)
        self.directions_ = directions(weighted, self.dim)  # [n_words, dim]
        self._last_fit = texts, weighted  # most often the same texts are encoded next
        return self

    @override
    def encode_texts(self, texts: Sequence[str], *, log: Log = SILENT) -> Float32:
        if not hasattr(self, "words_"):
            raise NotFitted("tfidf: is not fitted; call fit(table) or load(folder) first")
        known, weighted = self.__dict__.pop("_last_fit", ([], None))
        if weighted is None or known != texts:
            weighted = self._weigh(count_words(texts, vocabulary=self.words_, log=log)[0])
        return unit_rows(weighted @ self.directions_)

    def _weigh(self, counts: sp.csr_matrix) -> sp.csr_matrix:
        """Return counts times weights with rows of length one, [n, n_words]."""
        weighted = sp.csr_matrix(counts @ sp.diags_array(self.idf_))
        lengths = row_lengths(weighted)
        return sp.csr_matrix(sp.diags_array(1 / np.where(lengths > 0, lengths, 1)) @ weighted)


def directions(matrix: sp.csr_matrix, dim: int) -> Float32:
    """Compute the right singular vectors of the largest singular values, largest first.

    A matrix `X` is `U diag(s) V^T`; the rows of `X V` are the best `dim` numbers for each row of `X` in the sense of
    squared error. Signs are fixed: the largest entry of each direction is positive.

    Args:
        matrix: `[n, n_columns]`
        dim: How many directions; fewer come back where singular values are rounding noise.

    Returns:
        `V`. float32 `[n_columns, at most dim]`
    """
    if dim < min(matrix.shape) / 2:
        from scipy.sparse.linalg import svds

        start = np.random.default_rng(0).normal(size=matrix.shape[0])
        _, strength, right = svds(matrix.astype(np.float64), k=dim, v0=start, solver="propack")  # a third of ARPACK
        right, strength = right[::-1], strength[::-1]
    else:
        _, strength, right = np.linalg.svd(matrix.toarray().astype(np.float64), full_matrices=False)
    right = right[strength > NOISE * strength[0]][:dim]
    largest = right[np.arange(len(right)), np.abs(right).argmax(axis=1)]
    return np.ascontiguousarray((right * np.sign(largest)[:, None]).T, np.float32)


def count_words(
    texts: Sequence[str], *, vocabulary: Sequence[str] | None = None, log: Log = SILENT
) -> tuple[sp.csr_matrix, list[str]]:
    """Count the words that say what texts are about.

    Args:
        texts: Any texts.
        vocabulary: The words to count; None: all that occur, in alphabetical order.
        log: Where progress is shown.

    Returns:
        Counts `[n, n_words]`, and the words of their columns.
    """
    grow = vocabulary is None
    known = {} if vocabulary is None else {word: at for at, word in enumerate(vocabulary)}
    indptr, indices = [0], list[int]()
    for text in log.track(texts, "words"):
        for word in keywords(text):
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
    counts = counts[:, [known[word] for word in words]]
    counts.sort_indices()  # so that sums over a text's words have one order, however its words were found
    return counts, words


def inverse_document_frequency(counts: sp.csr_matrix) -> Float32:
    """Weigh words by rarity: `ln((1 + n) / (1 + n_w)) + 1`, where `n_w` of `n` texts have the word (as scikit-learn).

    Args:
        counts: `[n, n_words]`

    Returns:
        float32 `[n_words]`
    """
    having = np.bincount(counts.indices, minlength=counts.shape[1])
    return np.asarray(np.log((1 + counts.shape[0]) / (1 + having)) + 1, np.float32)
