"""The protocol stands beside every number of `benchmarks/quality.md`, and beside every published value anywhere."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")])


@pytest.fixture(scope="module")
def quality() -> ModuleType:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import quality  # type: ignore[import-not-found]
    finally:
        sys.path.pop(0)
    assert isinstance(quality, ModuleType)
    return quality


def test_every_row_with_a_source_has_a_protocol(quality: ModuleType) -> None:
    beside = [row for row in quality.ROWS if isinstance(row, (quality.Ranking, quality.Ratings))]
    assert len(beside) > 10
    assert {row.data for row in beside} <= set(quality.PROTOCOLS)
    for name, protocol in quality.PROTOCOLS.items():
        assert all(vars(protocol).values()), name


def test_the_page_is_what_the_kept_values_say(quality: ModuleType) -> None:
    assert quality.PAGE.read_text("utf-8") == quality.page(quality.finished()), "run benchmarks/quality.py"


def test_what_is_refitted_is_never_the_value_beside_a_paper_that_learns_from_train(quality: ModuleType) -> None:
    row = next(row for row in quality.ROWS if isinstance(row, quality.Ranking) and row.data == "amazon-beauty")
    found = {"refit": {"values": {"ndcg@10": 0.99}}, "cpu": 1.0}
    cells = [cell.strip() for cell in quality._goal_line(row, "ndcg@10", found).split("|")]
    assert cells[4:6] == ["train", "not run"]
    assert "0.9900" in cells[9]


def tables(text: str) -> list[list[str]]:
    """The header of every table, as its cells."""
    heads = re.findall(r"^\|?(.+)\|?\n\|?[-:| ]+\|[-:| ]*$", text, re.M)
    return [[cell.strip() for cell in head.split("|")] for head in heads]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_table_with_published_values_says_what_is_learnt_from(page: Path) -> None:
    for head in tables(page.read_text("utf-8")):
        assert "published" not in head or "learnt from" in head or "protocol" in head, head


def test_a_table_without_a_protocol_is_found() -> None:
    assert tables("x\n\n| data | published |\n|---|--:|\n| a | 1 |\n") == [["data", "published", ""]]


def test_figures_of_the_readme_that_rank_say_what_is_learnt_from() -> None:
    rows = re.findall(r"^\| ((?:ndcg|recall)@\d+, [^|]+) \| ([^|]+) \|", (ROOT / "README.md").read_text("utf-8"), re.M)
    assert len(rows) >= 2
    assert [what for what, protocol in rows if "learnt from" not in protocol] == []
