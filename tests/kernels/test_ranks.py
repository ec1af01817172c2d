"""The kernels of `kernels/ranks.py` against loops over Python lists."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from genre.kernels.ranks import FAR, distinct, hide_seen, place_targets, rank_targets, unsound_list

N_ITEMS = 9
rows = st.lists(st.lists(st.integers(0, N_ITEMS - 1), max_size=8), min_size=1, max_size=5)
distinct_rows = st.lists(st.lists(st.integers(0, N_ITEMS - 1), max_size=8, unique=True), min_size=1, max_size=5)


def csr(lists: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    ends = np.concatenate([[0], np.cumsum([len(row) for row in lists])]).astype(np.int64)
    return ends, np.array([item for row in lists for item in row], np.int32)


@given(distinct_rows, rows, st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_ranks_are_counts(targets: list[list[int]], seen: list[list[int]], seed: int) -> None:
    seen = (seen * 5)[: len(targets)]
    scores = np.random.default_rng(seed).integers(0, 4, (len(targets), N_ITEMS)).astype(np.float32)
    hide_seen(scores, *csr(seen))
    indptr, item = csr(targets)
    out, n_higher, ties = (np.empty_like(item) for _ in range(3))
    candidates = np.empty(len(targets), np.int64)
    rank_targets(scores, indptr, item, out, n_higher, ties, candidates)
    for row, wanted in enumerate(targets):
        allowed = [i for i in range(N_ITEMS) if i not in seen[row]]
        assert candidates[row] == len(allowed)
        part = slice(indptr[row], indptr[row + 1])
        assert sorted(out[part].tolist()) == sorted(wanted)
        assert (np.diff(n_higher[part]) >= 0).all()
        for target, rank, group in zip(out[part].tolist(), n_higher[part].tolist(), ties[part].tolist(), strict=True):
            mine = scores[row, target]
            higher = sum(scores[row, i] > mine for i in allowed)
            same = sum(scores[row, i] == mine for i in allowed)
            assert (rank, group) == ((higher, same) if target in allowed else (FAR, 1))


@given(distinct_rows, distinct_rows, st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_places_in_lists(targets: list[list[int]], shown: list[list[int]], pad: int) -> None:
    shown = (shown * 5)[: len(targets)]
    width = max(len(row) for row in shown) + pad
    lists = np.array([row + [-1] * (width - len(row)) for row in shown], np.int32).reshape(len(targets), width)
    indptr, item = csr(targets)
    out, n_higher = place_targets(lists, indptr, item, N_ITEMS)
    for row, wanted in enumerate(targets):
        places = {i: shown[row].index(i) if i in shown[row] else FAR for i in wanted}
        part = slice(indptr[row], indptr[row + 1])
        assert dict(zip(out[part].tolist(), n_higher[part].tolist(), strict=True)) == places
        assert (np.diff(n_higher[part]) >= 0).all()


@given(rows, rows)
@settings(max_examples=150, deadline=None)
def test_targets_count_once_and_not_when_seen(targets: list[list[int]], seen: list[list[int]]) -> None:
    seen = (seen * 5)[: len(targets)]
    indptr, item, seen_before = distinct(*csr(targets), *csr(seen), N_ITEMS)
    expected = [list(dict.fromkeys(i for i in wanted if i not in seen[row])) for row, wanted in enumerate(targets)]
    assert (indptr.tolist(), item.tolist()) == tuple(column.tolist() for column in csr(expected))
    assert seen_before == sum(i in seen[row] for row, wanted in enumerate(targets) for i in wanted)


def unsound_plain(lists: np.ndarray, n_items: int) -> int:
    for row, candidates in enumerate(lists.tolist()):
        shown = [candidate for candidate in candidates if candidate >= 0]
        if len(set(shown)) < len(shown) or any(candidate >= n_items for candidate in shown):
            return row
    return -1


@given(st.integers(0, 6).flatmap(lambda k: st.lists(st.lists(st.integers(-1, 30), min_size=k, max_size=k), min_size=1)))
@settings(max_examples=150, deadline=None)
def test_the_first_list_with_a_repeated_or_unknown_item_is_found(rows: list[list[int]]) -> None:
    lists = np.array(rows, np.int32).reshape(len(rows), -1)
    for n_items in (25, 31):
        assert unsound_list(lists, n_items) == unsound_plain(lists, n_items)


def test_unsound_lists_are_found() -> None:
    good = np.array([[0, 1, -1], [2, -1, -1]], np.int32)
    assert unsound_list(good, 3) == -1
    assert unsound_list(good, 2) == 1
    assert unsound_list(np.array([[0, 1], [1, 1]], np.int32), 3) == 1
