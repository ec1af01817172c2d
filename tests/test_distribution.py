"""The sdist and the wheel: every file is there, and an environment without other files of GENRE runs the quickstart."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from genre.version import __version__

ROOT = Path(__file__).parents[1]
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"
QUICKSTART = """
import genre
from genre.testing import toy_dataset
assert "env" in genre.__file__, genre.__file__
train, validation, test = genre.split(toy_dataset())
model = genre.EASE(regularization=5).fit(train)
print(model.recommend(["i0", "i2"], k=2))
"""


def build(folder: Path, hook: str, out: Path) -> Path:
    """Call a hook of the build backend as pip does, in the folder of the sources."""
    command = [sys.executable, "-c", BUILD, hook, str(out)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return out / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the sdist of a copy of the sources: what is not in the sdist is not in the wheel."""
    folder = tmp_path_factory.mktemp("dist")
    (sources := folder / "sources").mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    shutil.copytree(ROOT / "src", sources / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    with tarfile.open(build(sources, "build_sdist", folder)) as sdist:
        sdist.extractall(folder, filter="data")
    return build(folder / f"genre_rec-{__version__}", "build_wheel", folder)


def test_the_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    files = {
        path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src" / "genre").rglob("*") if path.is_file()
    }
    wanted = {name for name in files if "__pycache__" not in name}
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if name.startswith("genre/")}
        (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        text = archive.read(metadata).decode()
    assert names == wanted
    assert f"Version: {__version__}" in text
    assert "Description-Content-Type: text/markdown" in text
    assert "License-Expression: Apache-2.0" in text


def test_an_empty_environment_runs_the_quickstart_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    """The dependencies are those of this environment; `make dist` installs them too."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    python, home = tmp_path / "env" / "bin" / "python", sysconfig.get_path("purelib")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*pip, str(wheel)], check=True)
    (site,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(home)
    where = {"PATH": str(python.parent), "HOME": str(tmp_path), "NUMBA_DISABLE_JIT": "1"}  # compiling anew takes long
    done = subprocess.run(
        [python, "-c", QUICKSTART], cwd=tmp_path, env=where, capture_output=True, text=True, check=True
    )
    assert "because of Story" in done.stdout
    command = [python.parent / "genre", "--version"]
    done = subprocess.run(command, cwd=tmp_path, env=where, capture_output=True, text=True, check=True)
    assert done.stdout == f"genre {__version__}\n"


def test_classifiers_name_the_versions_of_python_that_are_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = {one for text in project["classifiers"] for one in re.findall(r"Python :: (3\.\d+)$", text)}
    workflow = (ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8")
    (tested,) = re.findall(r"python-version: \[(.*)\]", workflow)
    assert named == set(re.findall(r"3\.\d+", tested))


def test_what_cites_the_project_names_its_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"version: {__version__}\n" in citation
