"""docs/architecture.md and the lists of places in CONTRIBUTING.md name what is there, and all of it."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

import genre

ROOT = Path(__file__).parents[1]
SOURCE = Path(genre.__file__).parent
PAGE = ROOT / "docs" / "architecture.md"


def section(page: Path, title: str) -> str:
    """The text below a heading of the second level, up to the next one."""
    _, _, rest = page.read_text("utf-8").partition(f"\n## {title}\n")
    assert rest, f"{page.name} has no section {title!r}"
    return rest.partition("\n## ")[0]


def named_paths(text: str) -> list[str]:
    return re.findall(r"`([\w/]+\.(?:py|md|txt|html|yaml|js)|[\w/]+/)`", text)


def test_every_room_is_described() -> None:
    described = set(named_paths(section(PAGE, "Folders")))
    rooms = {f"{path.parent.relative_to(SOURCE).as_posix()}/" for path in SOURCE.glob("**/__init__.py")} - {"./"}
    files = {path.name for path in SOURCE.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert described - {"prompts/"} == rooms | files


def test_the_layers_are_those_that_are_checked() -> None:
    settings = configparser.ConfigParser()
    settings.read(ROOT / ".importlinter")
    layers = settings["importlinter:contract:layers"]["layers"].replace("genre.", "").split("\n")
    (shown,) = re.findall(r"^```\n(.*?)^```", section(PAGE, "Layers"), re.M | re.S)
    assert shown.splitlines() == [line.strip() for line in layers if line.strip()]


@pytest.mark.parametrize("title", ["One request", "One row of data"])
def test_files_that_are_followed_exist(title: str) -> None:
    below = "serving" if title == "One request" else ""
    for path in named_paths(section(PAGE, title)):
        assert any((SOURCE / room / path).exists() for room in (below, "", "recommenders")), path


def test_the_tour_of_the_steps_is_short() -> None:
    assert len((SOURCE / "pipeline.py").read_text("utf-8").splitlines()) < 250


def test_places_in_contributing_exist() -> None:
    for path in named_paths(section(ROOT / "CONTRIBUTING.md", "Where is ...?")):
        assert (SOURCE / path).exists(), path
