"""Lists through an index: nearly the exact ones, with filters, seen items and new items kept, exact where it pays."""

import shutil

import numpy as np
import pytest

import genre
from genre.errors import ArtifactError, DataError, NotAvailable
from genre.recommenders import item_index
from genre.recommenders.item_index import ItemIndex, top_k_indexed
from genre.recommenders.topk import top_k_factors
from genre.testing import toy_dataset
from lines import Lines

N, DIM = 4000, 16


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(40, DIM))
    items = (centres[rng.integers(0, 40, N)] + rng.normal(0, 0.5, (N, DIM))).astype(np.float32)
    queries = (centres[rng.integers(0, 40, 60)] + rng.normal(0, 0.5, (60, DIM))).astype(np.float32)
    return items, queries, ItemIndex.build(items, queries[:40])


def shared(found, exact):
    pairs = [(a[a >= 0], b[b >= 0]) for a, b in zip(found, exact, strict=True)]
    return np.mean([len(np.intersect1d(a, b)) / max(1, len(b)) for a, b in pairs])


def test_lists_are_nearly_exact_and_scores_are(world):
    items, queries, index = world
    item, score = top_k_indexed(index, queries[40:], items, 20)
    exact, best = top_k_factors(queries[40:], items, 20)
    assert index.recall > 0.9
    assert shared(item, exact) > 0.9
    assert score == pytest.approx(np.take_along_axis(queries[40:] @ items.T, item, axis=1), abs=1e-4)
    assert (np.diff(score) <= 0).all()
    assert score[:, 0] == pytest.approx(best[:, 0], abs=1e-4)


@pytest.mark.parametrize("share", [0.5, 0.1, 0.003])
def test_filters_and_seen_items_hold(world, share):
    items, queries, index = world
    mask = np.random.default_rng(1).permutation(N) < share * N
    best, _ = top_k_factors(queries, items, 5, candidates=mask)  # seen: what would come first
    seen = np.arange(0, 5 * len(queries) + 1, 5), best.ravel()
    item, score = top_k_indexed(index, queries, items, 10, seen=seen, candidates=mask)
    exact, _ = top_k_factors(queries, items, 10, seen=seen, candidates=mask)
    assert mask[item[item >= 0]].all()
    assert not any(np.isin(row, gone).any() for row, gone in zip(item, best, strict=True))
    assert ((item < 0) == (exact < 0)).all()  # as many items as there are
    assert np.isneginf(score[item < 0]).all()
    assert shared(item, exact) > 0.9


@pytest.fixture
def fetched(world, monkeypatch):
    """How many items each search of the graph fetched."""
    sizes, find = [], world[2].find
    monkeypatch.setattr(world[2], "find", lambda queries, n: sizes.append(n) or find(queries, n))
    return sizes


def test_few_allowed_items_are_compared_without_the_graph(world, fetched):
    items, queries, index = world
    mask = np.random.default_rng(1).permutation(N) < 0.1 * N
    item, _ = top_k_indexed(index, queries, items, 10, candidates=mask)
    assert fetched == []
    assert np.array_equal(item, top_k_factors(queries, items, 10, candidates=mask)[0])


def test_seen_items_that_a_filter_takes_away_are_not_fetched_for(world, fetched):
    items, queries, index = world
    mask = np.random.default_rng(1).permutation(N) < 0.3 * N
    best, _ = top_k_factors(queries, items, 200, candidates=~mask)
    seen = np.arange(0, best.size + 1, 200), best.ravel()
    item, _ = top_k_indexed(index, queries, items, 10, seen=seen, candidates=mask)
    assert fetched == [50]  # 10 of three tenths, and half as many again
    assert shared(item, top_k_factors(queries, items, 10, candidates=mask)[0]) > 0.9


def test_a_short_list_is_made_by_comparing_all(world):
    items, queries, index = world
    order = np.argsort(-(items @ queries[0]))
    mask = np.ones(N, bool)
    mask[order[: N // 2]] = False  # what is allowed is far from the query, where the graph does not look
    item, _ = top_k_indexed(index, queries[:1], items, 10, candidates=mask)
    exact, _ = top_k_factors(queries[:1], items, 10, candidates=mask)
    assert item.tolist() == exact.tolist()


def test_items_behind_the_index_are_found(world):
    items, queries, index = world
    larger = np.concatenate([items, 3 * queries[:1]])
    item, _ = top_k_indexed(index, queries[:1], larger, 5)
    assert item[0, 0] == N


def test_the_graph_is_the_same_again_and_after_reading(world, tmp_path):
    items, queries, index = world
    index.save(tmp_path)
    read = ItemIndex.load(tmp_path)
    again = ItemIndex.build(items, queries[:40])
    for other in (read, again):
        assert (other.recall, other.expansion) == (index.recall, index.expansion)
        assert np.array_equal(other.find(queries, 30), index.find(queries, 30))
    few = ItemIndex.build(items[:300], queries)
    few.graph.save(str(tmp_path / item_index.GRAPH))
    with pytest.raises(ArtifactError, match="does not hold"):
        ItemIndex.load(tmp_path)
    (tmp_path / item_index.FACTS).write_text("{}")
    with pytest.raises(ArtifactError, match="not what this version writes"):
        ItemIndex.load(tmp_path)


def test_a_query_that_is_not_finite_is_refused(world):
    items, queries, index = world
    with pytest.raises(DataError, match="NaN"):
        top_k_indexed(index, np.full_like(queries[:1], np.nan), items, 5)


def test_without_the_package_the_error_names_it(world, monkeypatch, tmp_path):
    items, queries, _ = world
    monkeypatch.setattr(item_index, "can_index", lambda: False)
    with pytest.raises(NotAvailable, match=r"genre-rec\[index\]"):
        ItemIndex.build(items, queries)
    with pytest.raises(NotAvailable, match=r"genre-rec\[index\]"):
        ItemIndex.load(tmp_path)


CONFIG = """
name: indexed
data: {kind: files, interactions: interactions.csv}
recommenders: [{kind: als, factors: 4}, {kind: bpr, factors: 4, epochs: 2}, {kind: popularity}]
evaluation: {metrics: [ndcg]}
output: {search: approximate, users: [u1]}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place, toy = tmp_path_factory.mktemp("indexed"), toy_dataset(n_users=120, n_items=250)
    rows = zip(toy.user_ids.take(toy.user), toy.item_ids.take(toy.item), toy.timestamp.tolist(), strict=True)
    lines = ["user_id,item_id,timestamp", *(",".join(map(str, row)) for row in rows)]
    (place / "interactions.csv").write_text("\n".join(lines), "utf-8")
    (place / "indexed.yaml").write_text(CONFIG, "utf-8")
    return place


def test_a_run_keeps_its_indexes_and_answers_through_them(folder):
    log = Lines()
    run = genre.run(folder / "indexed.yaml", runs=folder / "runs", log=log)
    assert any("index: als: recall@100 against exact" in line for line in log.lines)
    assert sorted(path.name for path in (run.folder / "indexes").iterdir()) == [
        "als",
        "bpr",
    ]  # popularity has no factors
    als = run.recommender("als")
    assert als._index is not None
    exact = type(als).load(run.folder / "recommenders" / "als" / "model")
    history = run.history_of_user("u1")
    found, plain = als.recommend(history, k=10), exact.recommend(history, k=10)
    assert shared(found.item, plain.item) > 0.8
    assert len(run.recommend("u1", using="als")) == 10
    other = shutil.copytree(run.folder, folder / "other")
    (other / "indexes" / "als" / "index.json").write_text("{}", "utf-8")
    with pytest.raises(ArtifactError, match="damaged"):
        genre.read_run(other)


def test_small_catalogues_are_exact_where_the_config_leaves_the_choice(folder):
    run = genre.run(folder / "indexed.yaml", overrides=["output.search=auto"], runs=folder / "runs")
    assert not (run.folder / "indexes").exists()
