"""TF-IDF and SVD, judged by scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from genre.arrays import Float32
from genre.errors import ArtifactError, DataError, NotFitted
from genre.features.base import item_features
from genre.features.tfidf import TfIdf
from genre.features.tokens import keywords
from genre.testing import toy_dataset

TEXT = "space robot rocket castle knight dragon love war crime police comedy song ghost doctor desert island"
WORDS = TEXT.split()


def catalogue(n: int = 200) -> pa.Table:
    rng = np.random.default_rng(3)
    topics = rng.dirichlet(np.full(len(WORDS), 0.2), 8)
    texts = [" ".join(rng.choice(WORDS, rng.integers(1, 12), p=topics[at % 8])) for at in range(n)]
    return pa.table({"title": [f"{text} film{at}" for at, text in enumerate(texts)]})


def referee(texts: list[str], dim: int) -> Float32:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    weights = TfidfVectorizer(tokenizer=keywords, lowercase=False, token_pattern=None).fit_transform(texts)
    svd = TruncatedSVD(dim, algorithm="arpack", random_state=1)
    return np.asarray(normalize(svd.fit_transform(weights)), np.float32)


@pytest.mark.parametrize("dim", [10, 150])  # both ways to the singular vectors
def test_the_same_as_scikit_learn(dim: int) -> None:
    table = catalogue()
    ours = TfIdf(dim=dim).fit(table).encode(table).values
    theirs = referee(table["title"].to_pylist(), dim)
    assert ours.shape == theirs.shape == (200, dim)
    assert np.allclose(ours @ ours.T, theirs @ theirs.T, atol=1e-4), "the same up to signs"


def test_signs_are_fixed_and_the_order_of_rows_does_not_matter() -> None:
    table = catalogue()
    order = np.random.default_rng(0).permutation(len(table))
    there = TfIdf(dim=5).fit(table).encode(table).values
    back = TfIdf(dim=5).fit(table.take(order)).encode(table).values
    assert np.allclose(there, back, atol=1e-4)


def test_a_text_without_a_known_word_is_zero_and_others_have_length_one() -> None:
    vectors = TfIdf(dim=6).fit(catalogue()).encode_texts(["", "zzz", "\ud800 \0", "space robots", "the of and"])
    assert np.allclose(np.linalg.norm(vectors, axis=1), [0, 0, 0, 1, 0], atol=1e-6)


def test_min_count_drops_rare_words() -> None:
    model = TfIdf(dim=4, min_count=2).fit(catalogue())
    assert set(model.words_) <= set(WORDS)
    with pytest.raises(DataError, match="min_count"):
        TfIdf(min_count=99).fit(pa.table({"title": ["one thing", "another"]}))


def test_unfitted_says_so() -> None:
    with pytest.raises(NotFitted, match="fit"):
        TfIdf().encode_texts(["a"])


def test_saved_and_loaded(tmp_path: Path) -> None:
    table = catalogue()
    model = TfIdf(dim=8).fit(table)
    model.save(tmp_path / "tfidf")
    loaded = TfIdf.load(tmp_path / "tfidf")
    assert np.array_equal(loaded.encode(table).values, model.encode(table).values)
    assert loaded.fingerprint == model.fingerprint
    assert model.fingerprint != TfIdf(dim=8).fit(table.slice(0, 100)).fingerprint
    (tmp_path / "tfidf" / "state.json").write_text("{}")
    with pytest.raises(ArtifactError):
        TfIdf.load(tmp_path / "tfidf")


def test_the_toy_world_has_two_topics() -> None:
    vectors = item_features(toy_dataset(), TfIdf()).values
    same = vectors @ vectors.T
    assert same[0, 2] > 0.99 > 0.5 > same[0, 1]
