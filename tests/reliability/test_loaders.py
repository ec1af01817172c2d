"""Whatever a file holds: each loader reads it or raises the error it declares, and never another."""

from __future__ import annotations

import contextlib
import gzip
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import genre
from genre import storage
from genre.config.reading import read_config
from genre.data.parquet import read_dataset
from genre.errors import ArtifactError, ConfigError, DataError, TrainingError
from genre.features.base import Encoder
from genre.llm_usage import exchanges_of
from genre.preprocessing.sources.files import Files
from genre.recommenders.base import Recommender
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
