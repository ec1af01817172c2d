"""ALS against the textbook: dense normal equations and the objective."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from genre.data.dataset import Dataset
from genre.data.features import Features
from genre.data.history import History
from genre.data.ids import Ids
from genre.errors import DataError, NotAvailable, NotSupported, OptionError
from genre.recommenders.als import ALS, principal_axes
from genre.testing import check_recommender, toy_dataset


def textbook_vector(model: ALS, history: History) -> np.ndarray:
    """x = (Y'CY + r I)^-1 Y'Cp over the whole catalogue (Hu, Koren & Volinsky, equation 4)."""
    items = model.item_embeddings_.astype(np.float64)
    weight = history.matrix().toarray()[0]
    confidence = 1 + model.alpha * weight
    ridge = model.regularization * (1 + model.alpha * weight.sum()) ** model.frequency
    system = (items.T * confidence) @ items + ridge * np.eye(model.factors)
    return np.linalg.solve(system, items.T @ (confidence * (weight > 0)))


@pytest.mark.parametrize("frequency", [0.0, 0.5])
@pytest.mark.parametrize("solver", ["exact", "cg"])
def test_a_history_gets_the_textbook_vector(solver: str, frequency: float) -> None:
    data = toy_dataset()
    model = ALS(factors=6, solver=solver, frequency=frequency, iterations=5).fit(data)  # type: ignore[arg-type]
    for row in (0, 3):
        history = data.history([row])
        expected = model.item_embeddings_ @ textbook_vector(model, history)
        np.testing.assert_allclose(model.score(history)[0], expected, rtol=1e-3, atol=1e-4)


def objective(model: ALS, matrix: np.ndarray) -> float:
    """What ALS minimises, with the best user vectors for its item vectors."""
    users = np.stack([textbook_vector(model, history_of(row, matrix.shape[1])) for row in matrix])
    error = (1 + model.alpha * matrix) * ((matrix > 0) - users @ model.item_embeddings_.T) ** 2
    return float(error.sum() + model.regularization * ((users**2).sum() + (model.item_embeddings_**2).sum()))


def history_of(row: np.ndarray, n_items: int) -> History:
    return History.of([np.flatnonzero(row)], n_items)


def test_every_iteration_lowers_the_objective() -> None:
    data = toy_dataset()
    matrix = data.matrix().toarray()
    values = [objective(ALS(factors=4, iterations=n, solver="exact").fit(data), matrix) for n in (1, 2, 4, 8)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < values[0]


def test_contributions_add_up_to_the_score() -> None:
    data = toy_dataset()
    model = ALS(factors=6, frequency=0.3).fit(data)
    history = data.history([2])
    for item, why in zip((1, 4), model.explain(history, np.array([1, 4], np.int32)), strict=True):
        assert sum(share for _, share in why.history) == pytest.approx(model.score(history)[0, item], abs=1e-4)


def test_interactions_with_one_item_share_what_it_adds() -> None:
    data = toy_dataset()
    model = ALS(factors=6, frequency=0.3, alpha=2.0).fit(data)
    history = History.of([[0, 2, 0, 4, 2]], data.n_items)
    every = np.arange(data.n_items, dtype=np.int32)
    shares = model.contributions(history, every)
    np.testing.assert_allclose(shares.sum(axis=1), model.score(history)[0], atol=1e-4)
    np.testing.assert_allclose(shares[:, 0], shares[:, 2], atol=1e-6)


def unknown_half(seed: int = 0) -> tuple[Dataset, np.ndarray, np.ndarray]:
    """Two groups of users and of 40 items told apart by noisy features; of half of the items, one user knows each."""
    rng = np.random.default_rng(seed)
    group = np.arange(40) % 2
    values = np.stack([group, 1 - group], axis=1) + rng.normal(0, 0.2, (40, 2))
    rare = np.arange(40) >= 20
    pairs = [(user, item) for user in range(60) for item in range(40) if group[item] == user % 2]
    pairs = [(u, i) for u, i in pairs if (rng.random() < 0.5 if not rare[i] else u // 2 == i - 20 and i < 38)]
    user, item = np.array(pairs).T
    ids = [Ids(str(row) for row in range(n)) for n in (60, 40)]
    data = Dataset.from_arrays(user=user, item=item, user_ids=ids[0], item_ids=ids[1])
    return data.with_features(items=Features(values.astype(np.float32), "made")), group, rare


@pytest.mark.parametrize("solver", ["exact", "cg"])
def test_items_few_have_touched_borrow_from_their_features(solver: str) -> None:
    """They come up for the users whose taste they fit, cold ones and ones added later too."""
    data, group, rare = unknown_half()
    history = data.history()
    fits = group == (np.arange(60) % 2)[:, None]

    def gap(model: ALS) -> float:
        scores = model.score(history)[:, rare]
        return float(scores[fits[:, rare]].mean() - scores[~fits[:, rare]].mean())

    given = {"factors": 4, "regularization": 3.0, "solver": solver, "seed": 1}
    plain, drawn = ALS(**given).fit(data), ALS(**given, feature_weight=1.0).fit(data)  # type: ignore[arg-type]
    assert gap(drawn) > 2 * gap(plain)
    cold = drawn.score(history)[:, 38:]
    assert cold[fits[:, 38:]].mean() > cold[~fits[:, 38:]].mean() + 0.3
    assert not plain.score(history)[:, 38:].any()
    assert data.item_features is not None
    grown = drawn.extend(["new"], data.item_features.values[38:39])
    inside = dataclasses.replace(history, n_items=41)
    np.testing.assert_allclose(grown.score(inside)[:, -1], cold[:, 0], atol=1e-5)


def test_no_features_no_place_for_new_items() -> None:
    data, _, _ = unknown_half()
    with pytest.raises(NotSupported, match="feature_weight above zero"):
        ALS(factors=2).fit(data).extend(["new"], np.zeros((1, 2), np.float32))
    model = ALS(factors=2, feature_weight=0.5).fit(data)
    with pytest.raises(DataError, match="learnt from features of 2 values, found 3"):
        model.extend(["new"], np.zeros((1, 3), np.float32))
    with pytest.raises(DataError, match="needs item features"):
        ALS(feature_weight=0.5).fit(dataclasses.replace(data, item_features=None))
    check_recommender(lambda: ALS(factors=6, feature_weight=0.5))


@pytest.mark.parametrize("other", [{}, {"frequency": 0.5}, {"frequency": 1, "feature_weight": 0.5}])
def test_mllib_is_refused_where_its_objective_is_another(other: dict[str, float]) -> None:
    with pytest.raises(OptionError, match="the penalty of MLlib is that of frequency: 1"):
        ALS(solver="mllib", **other)  # type: ignore[arg-type]
    model, data = ALS(solver="mllib", frequency=1), toy_dataset()
    with pytest.raises(NotAvailable, match=r"engine: \{kind: spark\}"):
        model.fit(data)
    uneven = dataclasses.replace(data, weight=np.linspace(0.5, 2, len(data)).astype(np.float32))
    with pytest.raises(DataError, match="weights: equal"):
        model.fit(uneven)


def test_the_turned_basis_has_a_diagonal_gram_matrix() -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    values, turn = principal_axes(vectors)
    np.testing.assert_allclose((vectors @ turn).T @ (vectors @ turn), np.diag(values), atol=1e-3)
