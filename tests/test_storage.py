"""A folder is whole or refused: damage of every kind, and a kill at every step of writing it."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genre import storage
from genre.data.parquet import read_dataset
from genre.errors import ArtifactError
from genre.recommenders.base import Recommender
from genre.recommenders.ease import EASE
from genre.testing import toy_dataset
from sizes import sized


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    EASE(10.0).fit(toy_dataset()).save(folder)
    return folder


def test_a_flipped_bit_is_noticed_in_every_file(saved: Path, tmp_path: Path) -> None:
    rng = random.Random(0)
    files = sorted(path for path in saved.rglob("*") if path.is_file())
    assert len(files) >= 4
    for at in range(80):
        original = files[at % len(files)]
        data = bytearray(original.read_bytes())
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        damaged = tmp_path / str(at)
        shutil.copytree(saved, damaged)
        (damaged / original.relative_to(saved)).write_bytes(data)
        with pytest.raises(ArtifactError):
            Recommender.load(damaged)


@settings(max_examples=sized(200, 5000), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_an_artifact_error_and_nothing_else(saved: Path, tmp_path: Path, data: st.DataObject) -> None:
    damaged = tmp_path / "damaged"
    shutil.rmtree(damaged, ignore_errors=True)
    shutil.copytree(saved, damaged)
    path = damaged / data.draw(st.sampled_from(sorted(p.relative_to(saved).as_posix() for p in saved.rglob("*.*"))))
    kind = data.draw(st.sampled_from(["cut", "longer", "gone", "noise", "folder", "honest noise"]))
    content = path.read_bytes()
    noise = data.draw(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
    if kind == "cut":
        path.write_bytes(content[: data.draw(st.integers(0, len(content.rstrip()) - 1))])  # the last newline may go
    elif kind == "longer":
        path.write_bytes(content + noise + b"x")
    elif kind in ("gone", "folder"):
        path.unlink()
        if kind == "folder":
            path.mkdir()
    else:
        path.write_bytes(noise)
    if kind == "honest noise" and path.name != storage.MANIFEST:  # somebody rewrote the manifest as well
        (damaged / storage.MANIFEST).unlink()
        storage.write_manifest(damaged)
    with pytest.raises(ArtifactError):
        EASE.load(damaged)


def test_a_manifest_that_points_outside_is_refused(saved: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(saved, damaged)
    (tmp_path / "secret").write_text("secret")
    body = json.loads((damaged / storage.MANIFEST).read_text())
    body["files"]["../secret"] = storage.sha256(tmp_path / "secret")
    del body["self"]
    body["self"] = storage._own_hash(body)
    storage.write_json(damaged / storage.MANIFEST, body)
    with pytest.raises(ArtifactError, match="outside"):
        EASE.load(damaged)


def test_code_in_a_saved_folder_is_not_run(saved: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(saved, damaged)
    for path in ("os:system", "subprocess:Popen", "genre.storage:sha256", "no_such_module:X", "..:x", ":"):
        options = json.loads((damaged / "options.json").read_text())
        storage.write_json(damaged / "options.json", {**options, "class": path})
        (damaged / storage.MANIFEST).unlink()
        storage.write_manifest(damaged)
        with pytest.raises(ArtifactError):
            Recommender.load(damaged)


def test_values_that_contradict_one_another_are_refused(saved: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(saved, damaged)
    tensors = storage.read_tensors(damaged / "state.safetensors")
    tensors["item_ids_.bytes"] = np.frombuffer(b"i0i0" + tensors["item_ids_.bytes"].tobytes()[4:], np.uint8)
    storage.write_tensors(damaged / "state.safetensors", tensors)
    (damaged / storage.MANIFEST).unlink()
    storage.write_manifest(damaged)
    with pytest.raises(ArtifactError, match="not distinct"):
        EASE.load(damaged)


PUBLISH = """
import os, shutil, signal, sys
from pathlib import Path
from genre.storage import publish, read_manifest
folder, text = Path(sys.argv[1]), sys.argv[2]
def attempt(step):
    child = os.fork()
    if child == 0:
        left = step
        def count(event, args):
            nonlocal left
            if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.listdir", "os.scandir",
                         "shutil.rmtree", "ctypes.dlopen", "ctypes.dlsym"):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(count)
        with publish(folder, text=text) as aside:
            (aside / "one").write_text(text)
            (aside / "sub").mkdir()
            (aside / "sub" / "two").write_text(text)
        os._exit(0)
    return os.waitpid(child, 0)[1]
kills = news = 0
for step in range(1, 500):
    shutil.rmtree(folder, ignore_errors=True)
    if sys.argv[3]:
        with publish(folder, text=sys.argv[3]) as aside:
            (aside / "one").write_text(sys.argv[3])
            (aside / "sub").mkdir()
            (aside / "sub" / "two").write_text(sys.argv[3])
    status = attempt(step)
    if folder.exists():
        facts = read_manifest(folder)
        assert facts["text"] == (folder / "one").read_text() == (folder / "sub" / "two").read_text(), step
        assert facts["text"] in (text, sys.argv[3]), step
        news += facts["text"] == text
    else:
        assert not sys.argv[3], f"step {step}: neither the old nor the new folder is there"
    if status == 0:
        break
    kills += 1
print(kills, news)
"""


@pytest.mark.parametrize("before", ["old", None])
def test_a_kill_at_any_step_leaves_old_or_new(tmp_path: Path, before: str | None) -> None:
    folder = tmp_path / "folder"
    command = [sys.executable, "-c", PUBLISH, str(folder), "new", before or ""]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    kills, news = map(int, done.stdout.split())
    assert kills >= 20
    assert 0 < news < kills + 1, "some kills came before and some after the new one stood"


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, saved: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(saved, folder)

    def fail() -> None:
        with storage.publish(folder) as aside:
            (aside / "half").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert EASE.load(folder).score(toy_dataset().history()).shape == (20, 12)
    assert os.listdir(tmp_path) == ["model"], "and nothing lies about"  # noqa: PTH208


def test_exchange_trades_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for old in (False, True):  # and where the system cannot do it in one step
        for path in (one, other):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir()
            (path / "name").write_text(path.name)
        if old:
            monkeypatch.setattr(storage.ctypes, "CDLL", lambda *_, **__: object())
        storage.exchange(one, other)
        assert (one / "name").read_text() == "other"
        assert (other / "name").read_text() == "one"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "other"]


def test_tensors_that_are_none(tmp_path: Path) -> None:
    storage.write_tensors(tmp_path / "x", {"a": np.arange(3)})
    assert storage.read_tensors(tmp_path / "x")["a"].tolist() == [0, 1, 2]
    for noise in (b"", b"\xff" * 8, b"\x00" * 100, (2**63).to_bytes(8, "little") + b"{}", b"[" * 1000):
        (tmp_path / "x").write_bytes(noise)
        with pytest.raises(ArtifactError):
            storage.read_tensors(tmp_path / "x")


def test_tensors_that_the_disk_does_not_take_are_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        storage.write_tensors(tmp_path / "nowhere" / "x", {"a": np.arange(3)})


def test_another_folder_is_no_dataset(saved: Path) -> None:
    with pytest.raises(ArtifactError, match="holds no dataset"):
        read_dataset(saved)


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "../outside", "/etc/hostname"])
def test_a_manifest_that_names_no_file_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    body = {"format": storage.FORMAT, "files": {name: "0" * 64}}
    storage.write_json(tmp_path / storage.MANIFEST, {**body, "self": storage._own_hash(body)})
    with pytest.raises(ArtifactError, match="names a file"):
        storage.read_manifest(tmp_path)


def test_a_file_that_the_manifest_does_not_name_is_refused(tmp_path: Path) -> None:
    with storage.publish(tmp_path / "made") as aside:
        (aside / "inside").mkdir()
        (aside / "inside" / "named").write_text("x")
    (tmp_path / "made" / ".DS_Store").write_text("of a file manager")
    assert set(storage.read_manifest(tmp_path / "made")["files"]) == {"inside/named"}
    (tmp_path / "made" / "inside" / "later").write_text("x")
    with pytest.raises(ArtifactError, match="later: not named by the manifest"):
        storage.read_manifest(tmp_path / "made")


@pytest.mark.parametrize("target", ["/etc", "/etc/hostname", "nowhere", "named"])
def test_a_link_in_a_saved_folder_is_refused(tmp_path: Path, target: str) -> None:
    with storage.publish(tmp_path / "made") as aside:
        (aside / "named").write_text("x")
    (tmp_path / "made" / "link").symlink_to(target)
    with pytest.raises(ArtifactError, match="link: a link"):
        storage.read_manifest(tmp_path / "made")
    storage.write_manifest(tmp_path / "made")
    with pytest.raises(ArtifactError, match="link: a link"):
        storage.read_manifest(tmp_path / "made")


def test_a_manifest_without_its_format_is_refused(tmp_path: Path) -> None:
    body = {"files": {}}
    storage.write_json(tmp_path / storage.MANIFEST, {**body, "self": storage._own_hash(body)})
    with pytest.raises(ArtifactError, match="damaged"):
        storage.read_manifest(tmp_path)


def test_what_an_interrupted_write_left_is_no_part_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("whole")
    (tmp_path / f".{storage.MANIFEST}.part").write_text("half")
    aside = tmp_path / "steps" / ".fit.0a1b2c3d.part"  # as `publish` leaves it when it is killed
    (aside / "model").mkdir(parents=True)
    (aside / "model" / ".state.json.part").write_text("half")
    storage.write_manifest(tmp_path)
    assert not aside.exists()
    assert list(storage.read_manifest(tmp_path)["files"]) == ["one"]
