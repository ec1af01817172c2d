"""The site: every document has its place, and the reference has every kind, option, metric, verb and name."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import genre
from genre.config.sections import SECTIONS, resolve
from genre.evaluation.metric_table import METRICS
from genre.kinds import KINDS
from genre.options import option_docs

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documents as Sphinx gets them."""
    sys.path.insert(0, str(ROOT / "website"))
    try:
        import build
    finally:
        sys.path.remove(str(ROOT / "website"))
    folder = tmp_path_factory.mktemp("website") / "source"
    build.assemble(folder)
    return folder


def test_every_document_is_in_a_list_of_pages(source: Path) -> None:
    index = (source / "index.md").read_text("utf-8")
    listed = {line for block in re.findall(r"```\{toctree\}\n(.*?)```", index, re.S) for line in block.splitlines()}
    pages = {path.relative_to(source).with_suffix("").as_posix() for path in source.rglob("*.md")}
    apart = {page for page in pages if page.startswith("docs/decisions/0")}
    assert pages - listed - apart == {"README", "index"}, "the README is the first page itself"
    assert {page for page in listed if "/" in page} <= pages


def test_chinese_pages_are_listed_in_the_order_of_the_english_ones(source: Path) -> None:
    index = (source / "index.md").read_text("utf-8")
    pages = re.findall(r"^(?:docs/|README)\S+$", index, re.M)
    chinese = [page.removeprefix("docs/zh/") for page in pages if page.startswith("docs/zh/")]
    english = [page.rpartition("/")[2] for page in pages if not page.startswith("docs/zh/")]
    assert chinese == sorted(chinese, key=english.index)
    assert pages[pages.index("docs/zh/start") - 1] == "README.zh-CN"


def test_what_a_document_links_to_comes_along(source: Path) -> None:
    for page in source.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8")):
            if "://" not in target and not target.startswith("mailto:"):
                assert (page.parent / target).is_file(), f"{page}: {target}"


def test_sentences_in_chinese_get_no_spaces_from_the_ends_of_lines(source: Path) -> None:
    page = (source / "docs" / "zh" / "concepts.md").read_text("utf-8")
    assert "同一个调用：没有任何东西按用户编号查找。因此，" in page
    assert not re.search(r"[\u4e00-\u9fff，。；：]\n *[\u4e00-\u9fff]", page)


@pytest.mark.parametrize("section", KINDS)
def test_every_kind_has_its_options_with_their_text(section: str, source: Path) -> None:
    text = (source / "reference" / f"kinds-{section}.md").read_text("utf-8")
    base = next(base for base, name in SECTIONS.items() if name == section)
    for kind in KINDS[section]:
        (part,) = re.findall(rf"^## {re.escape(kind)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
        for option in option_docs(resolve(base, kind)):
            assert f"| `{option}` |" in part, f"{section} {kind}"


def test_the_other_pages_have_every_metric_verb_and_name(source: Path) -> None:
    reference = source / "reference"
    metrics, python, commands = (
        (reference / f"{n}.md").read_text("utf-8") for n in ("metrics", "python", "command-line")
    )
    assert all(f"| `{name}` |" in metrics for name in METRICS)
    assert all(f"## {name}\n" in python for name in genre._HOMES)
    assert all(f"## genre {verb}\n" in commands for verb in ("run", "serve", "log backup", "runs"))
    config = (reference / "config.md").read_text("utf-8")
    assert "## evaluation\n" in config
    assert "| `refit` | boolean | `false` |" in config
    assert "| `k` | integer ≥ 1 | `10` |" in config
