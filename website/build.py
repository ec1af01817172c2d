"""Build the site: the documents of the repository as they are, and reference pages made from the code.

    python website/build.py [FOLDER]

Copies the documents and every file that they link to into `build/site/source`, writes the reference beside them, and
has Sphinx make HTML of it. Every warning is an error: a dead link, a page that no list names, an option without text.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from reference import write_reference

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
CHINESE_LINE = re.compile(
    r"(?<=[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef])\n[ ]*(?=[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef])"
)
"""A line that ends and goes on in Chinese, where a browser would show a space."""
SECTIONS = (
    ("Start", ("docs/start", "docs/install", "docs/concepts")),
    ("中文", ("README.zh-CN", "docs/zh/*")),
    ("Tasks", ("docs/how-to/*",)),
    ("Examples", ("examples/*/README",)),
    ("Guides", ("docs/evaluation", "docs/serving", "docs/language-models", "docs/reliability")),
    ("Reference", ("reference/*",)),
    ("Measured", ("benchmarks/*",)),
    (
        "Project",
        ("docs/architecture", "docs/conventions", "docs/decisions/README", "CONTRIBUTING", "SECURITY", "CHANGELOG"),
    ),
)
"""The lists of pages: a caption, and the pages below it, each once; Chinese pages in the order of the English ones."""


def pages() -> list[Path]:
    """The documents of the site, relative to the root."""
    found = [
        path for place in ("*.md", "docs/**/*.md", "benchmarks/*.md", "examples/*/*.md") for path in ROOT.glob(place)
    ]
    return sorted(path.relative_to(ROOT) for path in found)


def assemble(source: Path) -> None:
    """Copy documents, and the files that they link to, into an empty folder, and write the reference and the index.

    Args:
        source: The folder; replaced.
    """
    shutil.rmtree(source, ignore_errors=True)
    for page in pages():
        text = (ROOT / page).read_text("utf-8")
        for target in LINK.findall(text):
            if "://" not in target and not target.startswith("mailto:"):
                text = _follow(text, page, target, source)
        _write(source / page, CHINESE_LINE.sub("", text).replace("```mermaid", "```text"))
    write_reference(source / "reference")
    _write(source / "index.md", index(source))
    with (source / "docs" / "decisions" / "README.md").open("a", encoding="utf-8") as file:
        file.write("\n```{toctree}\n:hidden:\n:glob:\n\n[0-9]*\n```\n")
    shutil.copy(ROOT / "website" / "conf.py", source)


def _follow(text: str, page: Path, target: str, source: Path) -> str:
    """Copy the file that a page links to; a link to a folder, which a site cannot show, becomes its text."""
    file = (ROOT / page).parent / target
    if file.is_dir():
        return re.sub(rf"\[([^\]]*)\]\({re.escape(target)}\)", r"\1", text)
    if file.suffix != ".md":
        place = source / file.resolve().relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    return text


def index(source: Path) -> str:
    """Write the first page: the README, and behind it the lists of all pages.

    Args:
        source: The assembled documents.

    Returns:
        A page of MyST Markdown.
    """
    parts = ["```{include} README.md\n```\n"]
    lists = {
        caption: list(dict.fromkeys(path for name in names for path in sorted(source.glob(f"{name}.md"))))
        for caption, names in SECTIONS
    }
    english = [path.stem for caption, paths in lists.items() if caption != "中文" for path in paths]
    lists["中文"].sort(key=lambda path: english.index(path.stem) if path.stem in english else -1)
    for caption, paths in lists.items():
        listed = [path.relative_to(source).with_suffix("").as_posix() for path in paths]
        parts.append(f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(listed) + "\n```\n")
    return "\n".join(parts)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def main(out: Path) -> int:
    """Build the site.

    Args:
        out: The folder of the HTML.

    Returns:
        The exit status of Sphinx.
    """
    source = ROOT / "build" / "site" / "source"
    assemble(source)
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", source, out]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "site" / "html"))
