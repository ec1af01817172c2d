"""A Dataset on disk is the same Dataset, or refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genre.data.dataset import Dataset
from genre.data.ids import Ids
from genre.data.parquet import read_dataset, write_dataset
from genre.errors import ArtifactError
from genre.testing import toy_dataset

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    n = draw(st.integers(0, 12))
    column = lambda values: st.none() | st.lists(values, min_size=n, max_size=n)  # noqa: E731
    items = draw(st.lists(texts.filter(bool), min_size=3, max_size=3, unique=True))
    fields = {
        "item_id": pa.array(items),
        "title": pa.array(draw(st.lists(st.none() | texts, min_size=3, max_size=3)), pa.string()),
        "year": pa.array(draw(st.lists(st.none() | st.integers(-9, 9), min_size=3, max_size=3)), pa.int64()),
        "tags": pa.array(
            draw(st.lists(st.none() | st.lists(texts, max_size=2), min_size=3, max_size=3)), pa.list_(pa.string())
        ),
    }
    return Dataset.from_arrays(
        user=draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)),
        item=draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)),
        user_ids=Ids(["u1", "u2"]),
        item_ids=Ids(items),
        items=pa.table(fields),
        rating=draw(column(st.floats(0, 5, width=32))),
        weight=draw(column(st.floats(0, 9, width=32))),
        timestamp=draw(column(st.integers(-(2**62), 2**62))),
        part=draw(column(st.integers(0, 2))),
        rating_scale=draw(st.none() | st.just((0.5, 5.0, 0.5))),
        positive_rating=draw(st.none() | st.just(4.0)),
        name=draw(texts),
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(data=datasets())
def test_what_is_written_is_read_back(data: Dataset, tmp_path: Path) -> None:
    write_dataset(data, tmp_path / "data")
    again = read_dataset(tmp_path / "data")
    assert again.fingerprint() == data.fingerprint()
    assert again.items.equals(data.items)
    assert (again.name, again.rating_scale, again.positive_rating) == (
        data.name,
        data.rating_scale,
        data.positive_rating,
    )
    for name in ("user", "item", "weight", "rating", "timestamp", "part"):
        one, other = getattr(again, name), getattr(data, name)
        assert (one is None) == (other is None)
        if one is not None:
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


@given(datasets(), datasets())
def test_equal_fingerprints_mean_equal_data(one: Dataset, other: Dataset) -> None:
    def plain(data: Dataset) -> str:
        columns = [
            None if (c := getattr(data, n)) is None else c.tolist()
            for n in ("user", "item", "weight", "rating", "timestamp", "part")
        ]
        facts = (data.rating_scale, data.positive_rating, data.item_ids.values.to_pylist(), data.items.to_pydict())
        return repr((columns, facts))

    assert (one.fingerprint() == other.fingerprint()) == (plain(one) == plain(other))


def test_a_column_without_rows_is_part_of_the_fingerprint() -> None:
    without = Dataset.from_arrays(user=[], item=[], user_ids=Ids("u"), item_ids=Ids("i"))
    dated = dataclasses.replace(without, timestamp=np.zeros(0, np.int64))
    parted = dataclasses.replace(without, part=np.zeros(0, np.int8))
    assert len({without.fingerprint(), dated.fingerprint(), parted.fingerprint()}) == 3


def test_the_layout_in_memory_does_not_count() -> None:
    data = toy_dataset()
    pieces = pa.concat_tables([data.items.slice(0, 5), data.items.slice(5)])
    again = Dataset.from_arrays(
        user=data.user, item=data.item, rating=data.rating, timestamp=data.timestamp, user_ids=data.user_ids,
        item_ids=Ids(pa.concat_arrays([pa.array(["x"]), data.item_ids.values]).slice(1)), items=pieces,
        users=data.users,        rating_scale=data.rating_scale, positive_rating=data.positive_rating,
    )  # fmt: skip
    assert again.fingerprint() == data.fingerprint()


def test_a_changed_or_foreign_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="never finished"):
        read_dataset(tmp_path)
    write_dataset(toy_dataset(), tmp_path / "data")
    for file in sorted((tmp_path / "data").iterdir()):
        content = file.read_bytes()
        middle = len(content) // 2
        file.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
        with pytest.raises(ArtifactError):
            read_dataset(tmp_path / "data")
        file.write_bytes(content)
    read_dataset(tmp_path / "data")


def test_writing_again_replaces_the_folder(tmp_path: Path) -> None:
    write_dataset(toy_dataset(), tmp_path / "data")
    write_dataset(toy_dataset(n_users=6), tmp_path / "data")
    assert read_dataset(tmp_path / "data").n_users == 6
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
