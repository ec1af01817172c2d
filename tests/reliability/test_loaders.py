"""Whatever a file holds: each loader reads it or raises the error it declares, and never another."""

from __future__ import annotations

import contextlib
import gzip
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import genre
from genre import storage
from genre.config.reading import read_config
from genre.config.sections import resolve
from genre.data import parquet
from genre.data.parquet import read_dataset, read_table
from genre.errors import ArtifactError, ConfigError, DataError, NotImportable, TrainingError
from genre.features.base import Encoder
from genre.llm_usage import exchanges_of
from genre.preprocessing.sources.files import Files
from genre.recommenders.base import Recommender
from genre.recommenders.item_knn import ItemKNN
from genre.testing import toy_dataset
from genre.workspace import read_features
from reading import prepared
from sizes import sized

GOLDEN = Path(__file__).parents[1] / "golden" / f"run-{storage.FORMAT}"
EXAMPLES = settings(
    max_examples=sized(80, 5000), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
LOADERS: dict[str, Callable[[Path], Any]] = {
    "": genre.read_run,
    "dataset/tables": read_dataset,
    "features/items": lambda folder: (storage.read_manifest(folder), read_features(folder)),
    "features/items/encoder": Encoder.load,
    "recommenders/als/model": Recommender.load,
    "recommenders/blend/model": Recommender.load,
    "recommenders/content/model": Recommender.load,
    "recommenders/popularity/model": Recommender.load,
}


def changed(content: bytes, data: st.DataObject) -> bytes:
    """Cut, prolonged, replaced, or with some bytes of it changed."""
    noise = data.draw(st.binary(max_size=100) | st.text(max_size=60).map(str.encode))
    at = data.draw(st.integers(0, len(content)))
    kind = data.draw(st.sampled_from(["cut", "longer", "noise", "inside"]))
    if kind == "inside":
        return content[:at] + noise + content[at + len(noise) :]
    return {"cut": content[:at], "longer": content + noise, "noise": noise}[kind]


EVIL = "from pathlib import Path\nPath({0!r}).touch()\nfrom genre import Popularity as X\n"


@pytest.mark.parametrize("kind", ["evil:X", "run.evil:X", "run:X", "evil.inner:X", "os.path.inner:X", "registered"])
@pytest.mark.parametrize("place", ["", "..", "/"])
def test_a_run_folder_of_somebody_else_runs_no_code_from_it(
    kind: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, ran = tmp_path / "run", tmp_path / "it ran"
    shutil.copytree(GOLDEN, folder)
    for name in ("evil.py", "__init__.py") + (("evil/__init__.py", "evil/inner.py") if "evil.inner" in kind else ()):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(EVIL.format(str(ran)))
    (folder / "own-1.dist-info").mkdir()
    (folder / "own-1.dist-info" / "METADATA").write_text("Name: own\nVersion: 1\n")
    points = "[genre.recommenders]\nregistered = evil:X\n"
    (folder / "own-1.dist-info" / "entry_points.txt").write_text(points)
    config = folder / "config.full.yaml"
    config.write_text(config.read_text().replace("kind: popularity", f"kind: {kind}"))
    facts = {name: value for name, value in storage.read_manifest(GOLDEN).items() if name not in ("files", "format")}
    storage.write_manifest(folder, **facts)
    monkeypatch.chdir(folder / place)
    monkeypatch.syspath_prepend("")  # as `python -m genre` and notebooks have it
    for read in (genre.read_run, lambda path: read_config(path / "config.full.yaml"), exchanges_of):
        with pytest.raises((ArtifactError, ConfigError)) as refused:
            read(folder)
        assert kind in str(refused.value)
        assert not ran.exists()
    if kind == "evil:X":
        assert "--trust" in str(refused.value)
        with contextlib.suppress(ArtifactError):
            genre.read_run(folder, trust=True)
        assert ran.exists()
        sys.modules.pop("evil", None)


@pytest.mark.parametrize("kind", ["this:s", "antigravity:fly", "unittest.__main__:main", "genre.__main__:main"])
def test_modules_that_do_things_when_they_are_imported_are_not(kind: str, tmp_path: Path) -> None:
    module = kind.partition(":")[0]
    sys.modules.pop(module, None)
    with pytest.raises(NotImportable, match=f"{module} is no module of recommenders"):
        resolve(Recommender, kind, tmp_path, trust=False)
    assert module not in sys.modules


def write_hashes(folder: Path) -> None:
    """As somebody does who changed files and wants them to be read."""
    for manifest in sorted(folder.rglob(storage.MANIFEST), key=lambda path: -len(path.parts)):
        facts = json.loads(manifest.read_bytes())
        storage.write_manifest(
            manifest.parent, **{k: v for k, v in facts.items() if k not in ("files", "format", "self")}
        )


def change_table(path: Path, name: str, change: Callable[[pa.Table], pa.Array]) -> None:
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.column_names.index(name), name, change(table)), path)


def change_tensors(path: Path, change: Callable[[str, Any], Any]) -> None:
    storage.write_tensors(path, {name: change(name, value) for name, value in storage.read_tensors(path).items()})


def halves_of_characters(n: int) -> pa.Array:
    ends = pa.py_buffer(np.arange(0, 3 * n + 1, 3, dtype=np.int32).tobytes())
    return pa.Array.from_buffers(pa.string(), n, [None, ends, pa.py_buffer(b"\xed\xa0\x80" * n)])


def no_recommenders(folder: Path) -> None:
    manifest = folder / storage.MANIFEST
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "best_first": []}))


TABLES = "dataset/tables"
NOT_WHOLE: dict[str, Callable[[Path], Any]] = {
    "names no recommenders": no_recommenders,
    "rows for": lambda run: pq.write_table(
        pq.read_table(run / TABLES / "items.parquet").slice(1), run / TABLES / "items.parquet"
    ),
    "of other items": lambda run: change_table(
        run / TABLES / "items.ids.parquet", "id", lambda table: pa.array([f"x{n}" for n in range(len(table))])
    ),
    "Invalid UTF8": lambda run: change_table(
        run / TABLES / "items.parquet", "title", lambda table: halves_of_characters(len(table))
    ),
    "without a user": lambda run: change_table(
        run / TABLES / "interactions.parquet", "user", lambda table: pa.nulls(len(table), pa.int32())
    ),
    "without a weight": lambda run: change_table(
        run / TABLES / "interactions.parquet", "weight", lambda table: pa.array(np.full(len(table), np.nan, np.float32))
    ),
    "holds NaN": lambda run: change_tensors(
        run / "recommenders/als/model/state.safetensors",
        lambda _, value: value * np.nan if value.dtype.kind == "f" else value,
    ),
    "'values' holds NaN": lambda run: change_tensors(
        run / "features/items/values.safetensors", lambda _, value: value * np.nan if value.dtype.kind == "f" else value
    ),
}


@pytest.mark.parametrize("complaint", NOT_WHOLE)
def test_a_run_that_does_not_fit_together_is_not_loaded(complaint: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(GOLDEN, folder)
    NOT_WHOLE[complaint](folder)
    write_hashes(folder)
    with pytest.raises(ArtifactError, match=complaint):
        genre.read_run(folder)


@pytest.mark.parametrize(
    ("part", "change"),
    [("indices", lambda value: value * 0 + 2**30), ("indices", lambda value: value * 0 - 7),
     ("indptr", lambda value: np.concatenate([value[:1], value[1:-1][::-1], value[-1:]]))],
)  # fmt: skip
def test_rows_and_columns_out_of_range_are_refused(part: str, change: Callable[[Any], Any], tmp_path: Path) -> None:
    """SciPy reads and writes other memory then, which ended the process."""
    ItemKNN().fit(toy_dataset()).save(tmp_path / "model")
    path = tmp_path / "model" / "state.safetensors"
    change_tensors(path, lambda name, value: change(value).astype(value.dtype) if name.endswith(part) else value)
    write_hashes(tmp_path / "model")
    with pytest.raises(ArtifactError, match="does not fit this version of ItemKNN"):
        ItemKNN.load(tmp_path / "model")


def test_a_small_file_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers, texts = tmp_path / "numbers.parquet", tmp_path / "texts.parquet"
    pq.write_table(pa.table({"a": np.zeros(1_000_000)}), numbers)
    pq.write_table(pa.table({"a": ["x" * 10_000] * 2_000}), texts)
    assert max(numbers.stat().st_size, texts.stat().st_size) < 40_000
    assert (len(read_table(numbers)), len(read_table(texts))) == (1_000_000, 2_000)
    monkeypatch.setattr(parquet, "machine_memory", lambda: 20_000_000)
    monkeypatch.setattr(parquet, "SMALL_TEXT", 1_000_000)
    for path in (numbers, texts):
        with pytest.raises(ArtifactError, match=r"rows, which need 0\.\d GB; this machine has 0\.0 GB"):
            read_table(path)


def test_a_list_that_saved_arrays_cannot_give_is_one_line(run: Path) -> None:
    made = genre.read_run(run)
    als = made.recommenders["als"]
    als.item_embeddings_ = als.item_embeddings_[:, :2]  # type: ignore[attr-defined]
    with pytest.raises(ArtifactError, match="ALS cannot list items"):
        made.recommend(history=[made.dataset.item_ids[0]], using="als")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("loaders") / "run"
    shutil.copytree(GOLDEN, folder)
    return folder


@EXAMPLES
@given(data=st.data())
def test_a_saved_folder_loads_or_is_an_artifact_error(run: Path, data: st.DataObject) -> None:
    """Also where somebody wrote the hashes anew, so that the files themselves are read."""
    place, load = data.draw(st.sampled_from(list(LOADERS.items())))
    folder = run / place
    path = data.draw(st.sampled_from(sorted(path for path in folder.rglob("*") if path.is_file())))
    content, manifest = path.read_bytes(), (folder / storage.MANIFEST).read_bytes()
    facts = storage.read_manifest(folder)
    path.write_bytes(changed(content, data))
    try:
        honest = path.name != storage.MANIFEST and data.draw(st.booleans())
        if honest:
            storage.write_manifest(folder, **{k: v for k, v in facts.items() if k not in ("files", "format")})
        if honest or path.read_bytes().rstrip() == content.rstrip():
            with contextlib.suppress(ArtifactError):
                load(folder)
        else:
            with pytest.raises(ArtifactError):
                load(folder)
    finally:
        path.write_bytes(content)
        (folder / storage.MANIFEST).write_bytes(manifest)


@pytest.mark.parametrize(
    "facts", ["0", "[]", "{}", '{"fingerprint": "x", "blocks": 1}', '{"fingerprint": "x", "blocks": [{"name": "a"}]}',
              '{"fingerprint": "x", "blocks": [{"name": "a", "dim": 3}]}'],
)  # fmt: skip
def test_features_that_are_described_wrongly_are_an_artifact_error(tmp_path: Path, facts: str) -> None:
    shutil.copytree(GOLDEN / "features" / "items", tmp_path / "items")
    (tmp_path / "items" / "features.json").write_text(facts)
    with pytest.raises(ArtifactError, match=r"features\.json: not what this version writes"):
        read_features(tmp_path / "items")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("sources")
    rows = [{"user_id": f"u{n % 5}", "item_id": n, "rating": n % 5 + 0.5, "timestamp": 10**9 + n} for n in range(40)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "data.parquet")
    text = "user_id,item_id,rating,timestamp\n" + "".join(",".join(map(str, row.values())) + "\n" for row in rows)
    lines = "".join(f'{{"user_id": "{row["user_id"]}", "item_id": {row["item_id"]}}}\n' for row in rows)
    return {
        "data.parquet": (folder / "data.parquet").read_bytes(),
        "data.csv": text.encode(),
        "data.csv.gz": gzip.compress(text.encode(), mtime=0),
        "data.jsonl": lines.encode(),
    }


@EXAMPLES
@given(data=st.data())
def test_a_data_file_is_read_or_is_a_data_error(sources: dict[str, bytes], tmp_path: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(sources)))
    (tmp_path / name).write_bytes(changed(sources[name], data))
    with contextlib.suppress(DataError):
        prepared(Files(tmp_path / name))


@settings(EXAMPLES, max_examples=sized(40, 5000))
@given(data=st.data())
def test_a_checkpoint_is_gone_on_from_or_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    from genre.recommenders.mlp import MLP

    place = _checkpoint(tmp_path_factory)
    model = MLP(hidden=(4,), dim=2, epochs=1)
    path = data.draw(st.sampled_from(sorted(place.iterdir())))
    content, manifest = path.read_bytes(), (place / storage.MANIFEST).read_bytes()
    facts = storage.read_manifest(place)
    path.write_bytes(changed(content, data))
    try:
        if path.name != storage.MANIFEST and data.draw(st.booleans()):
            storage.write_manifest(place, training=facts["training"])
        with contextlib.suppress(ArtifactError, TrainingError):
            model.fit(toy_dataset(), checkpoint=place)
    finally:
        path.write_bytes(content)
        (place / storage.MANIFEST).write_bytes(manifest)


def _checkpoint(factory: pytest.TempPathFactory) -> Path:
    """Of a training that has ended, made once."""
    from genre.recommenders.mlp import MLP

    place = factory.getbasetemp() / "checkpoint"
    if not place.exists():
        MLP(hidden=(4,), dim=2, epochs=1).fit(toy_dataset(), checkpoint=place)
    return place
