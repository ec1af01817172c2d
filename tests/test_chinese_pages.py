"""The Chinese pages are in step with the English ones: same code and names, and no English section changed since.

The head of a Chinese page has a digest of each English section that it follows. Where one differs, bring the Chinese
section up to date, then put the head that the test prints into the page.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs" / "zh").glob("*.md"))
SHORTENED = {"serving"}
"""Pages that follow some sections, in fewer words."""
HEAD = re.compile(r"\A<!-- in step with (\S+): (.+) -->\n")
LINK_TO_CHINESE = re.compile(r"^\[中文\]\(.*\)\n\n", re.M)
FENCED = re.compile(r"^ *```\w*\n.*?^ *```", re.M | re.S)
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)(（英文）|，英文)?")
NUMBER = re.compile(r"(?<![A-Za-z0-9_.])\d+(?:[.,]\d+)*(?![A-Za-z0-9_])")


def named(page: Path) -> str:
    return page.stem


def sections(text: str) -> dict[str, str]:
    """The parts of a page by their headings of the second level; the part before the first has its title."""
    parts = re.split(r"^## (.+)\n", re.sub(r"\A[^#]*# (.+)\n", r"## \1\n", text), flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def english_of(page: Path) -> tuple[Path, dict[str, str]]:
    """The English page, and the digest of each section that the Chinese page says it follows."""
    head = HEAD.match(page.read_text("utf-8"))
    assert head is not None, f"{page.name}: its first line is no <!-- in step with PAGE: SECTION=DIGEST; ... -->"
    return page.parent / head[1], dict(part.rsplit("=", 1) for part in head[2].split("; "))


def english_sections(page: Path) -> dict[str, str]:
    return sections(LINK_TO_CHINESE.sub("", page.read_text("utf-8")))


def code(text: str) -> list[str]:
    """The code blocks without their comments, which may be translated."""
    return [re.sub(r"[ ]*#[ ].*", "", block) for block in FENCED.findall(text)]


def inline(text: str) -> set[str]:
    """The code in sentences and tables, on one line each."""
    return {" ".join(found.split()) for found in re.findall(r"`([^`]+)`", FENCED.sub("", text))}


def numbers(text: str) -> set[str]:
    """The numbers in sentences and tables."""
    return set(NUMBER.findall(re.sub(r"`[^`]+`|\]\([^)]*\)", "", FENCED.sub("", text))))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_english_section_changed_since(page: Path) -> None:
    english, known = english_of(page)
    now = {name: hashlib.sha256(text.encode()).hexdigest()[:8] for name, text in english_sections(english).items()}
    changed = [name for name, digest in known.items() if now.get(name) != digest]
    followed = [name for name in now if name in known or page.stem not in SHORTENED]
    head = "; ".join(f"{name}={now[name]}" for name in followed)
    assert not changed, f"docs/zh/{page.name}: bring {', '.join(changed)} up to date, then write in its head: {head}"
    assert list(known) == followed, f"docs/zh/{page.name} follows other sections than there are: {head}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_sections_code_and_names_are_the_same(page: Path) -> None:
    english, known = english_of(page)
    there, here = english_sections(english), list(sections(page.read_text("utf-8")).values())
    assert len(here) == len(known), "a Chinese section for each that it follows"
    for name, chinese in zip(known, here, strict=True):
        if page.stem not in SHORTENED:
            assert code(chinese) == code(there[name]), name
            lacking = inline(there[name]) - inline(chinese)
            lacking |= numbers(there[name]) - numbers(chinese)
            assert not lacking, f"{name}: {sorted(lacking)}"
        else:
            assert [block for block in code(chinese) if block not in code(there[name])] == [], name
        words = re.sub(r"```.*?```|`[^`]*`|\[English\]\([^)]*\)|\]\([^)]*\)|<!--.*?-->", "", chinese, flags=re.S)
        assert len(re.findall("[\u4e00-\u9fff]", words)) >= len(re.findall("[A-Za-z]", words)) / 2, f"{name} is Chinese"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_each_page_leads_to_the_other(page: Path) -> None:
    english, _ = english_of(page)
    assert f"[English]({Path('..') / english.resolve().relative_to(ROOT / 'docs')})" in page.read_text("utf-8")
    back = "zh" if english.resolve().parent.name == "docs" else "../zh"
    assert f"[中文]({back}/{page.name})" in english.read_text("utf-8")


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.zh-CN.md"], ids=named)
def test_links_lead_to_chinese_pages_where_there_are_some(page: Path) -> None:
    """Apart from those to the page's own English page."""
    for target, said_to_be_english in LINK.findall(page.read_text("utf-8")):
        file = (page.parent / target).resolve()
        there = file.parent.name in ("docs", "how-to") and (ROOT / "docs" / "zh" / file.name).exists()
        assert not there or file.name == page.name, f"{page.name}: {target} is there in Chinese"
        assert file.parent.name != "zh" or not said_to_be_english, f"{page.name}: {target} is in Chinese"
