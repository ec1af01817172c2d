"""The lock files and what installs from them: every package but torch by version and hash, within the stated bounds."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
UNLOCKED = "hub", "kafka", "mlflow", "multilingual", "spark"  # large, and installed by no target of `make test`
IN_IMAGE = ("serve", "postgres", "text")  # compose keeps its log in PostgreSQL, examples search in words
MAKEFILE, DOCKERFILE = ((ROOT / name).read_text("utf-8") for name in ("Makefile", "Dockerfile"))


def locked(name: str) -> dict[str, tuple[str, int]]:
    """Version and number of hashes of each package."""
    text = (ROOT / name).read_text("utf-8")
    assert "://" not in text, "no host"
    found = {}
    for entry in re.split(r"\n(?=\S)", text.strip()):
        head = re.match(r"([\w.-]+)==([\w.]+)( ; [^\\]+)? \\\n", entry)
        assert head, entry
        found[canonicalize_name(head[1])] = head[2], len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry))
    return found


@pytest.mark.parametrize(
    ("name", "extras"), [("constraints.txt", [*EXTRAS]), ("constraints-image.txt", IN_IMAGE)], ids=["all", "image"]
)
def test_every_package_that_is_installed_is_locked_with_hashes(name: str, extras: list[str]) -> None:
    lock = locked(name)
    assert all(n_hashes for _, n_hashes in lock.values())
    stated = [*PROJECT["dependencies"], *(one for extra in extras if extra not in UNLOCKED for one in EXTRAS[extra])]
    for one in map(Requirement, stated):
        if one.name not in ("torch", "genre-rec"):
            version, _ = lock[canonicalize_name(one.name)]
            assert one.specifier.contains(version), one
    assert "setuptools" in lock, "the project itself is built without a download"
    assert "torch" not in lock


def test_both_lock_files_have_the_same_versions() -> None:
    every, image = locked("constraints.txt"), locked("constraints-image.txt")
    assert image.items() <= every.items()


def test_what_is_installed_for_tests_and_in_the_image_is_verified() -> None:
    for text, lock in ((MAKEFILE, "constraints.txt"), (DOCKERFILE, "constraints-image.txt")):
        assert re.search(rf"--require-hashes --requirement {lock}$", text, re.M)
        assert re.search(r"--no-deps --no-build-isolation (--editable )?\.", text)


def test_images_are_pinned_to_a_full_version_and_may_be_pinned_to_a_digest() -> None:
    found = re.search(r"^ARG PYTHON=(\d+)\.(\d+)\.\d+-\S+$", DOCKERFILE, re.M)
    assert found
    assert "\nFROM python:${PYTHON}\n" in DOCKERFILE
    least = re.search(r">=(\d+)\.(\d+)", PROJECT["requires-python"])
    assert least
    assert tuple(map(int, found.groups())) >= tuple(map(int, least.groups()))
    compose = (ROOT / "compose.yaml").read_text("utf-8")
    assert re.search(r"image: \$\{POSTGRES_IMAGE:-postgres:\d+\.\d+-\w+\}", compose)
