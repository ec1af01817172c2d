"""What documents show: their fenced blocks, commands run as written, and the fresh output beside the printed one.

In a printed output `...` stands for any text on its line, and a line of `...` alone for any lines. Keys of run folders,
ids of lists, seconds and moments vary and are taken for equal. Everything else has to be there, in the order of the
document, with numbers that differ by one in their last place at most: processors round differently.
"""

from __future__ import annotations

import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from genre.cli.main import main

ROOT = Path(__file__).parents[2]
VARYING = (
    (re.compile(r"(?<=-)(?:[0-9a-f]{8}|KEY)\b"), "KEY"),
    (re.compile(r'(?<="recommendation_id": ")[\w-]{16}(?=")'), "ID"),
    (re.compile(r'(?<="(?:began)": )\d+|(?<="next": )\d+'), "MOMENT"),
    (re.compile(r'(?<="seconds": )[\d.]+'), "SECONDS"),
)
RUN_FOLDER = re.compile(r"runs/([\w-]+)-(?:[0-9a-f]{8}|KEY)\b")
NUMBER = re.compile(r"\d*\.\d+")


def fenced(page: Path, section: str | None = None) -> Iterator[tuple[str, str]]:
    """The blocks of a page, or of one section of the second level, as language and text."""
    text = page.read_text("utf-8")
    if section is not None:
        (text,) = re.findall(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    yield from re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S)


def check_shown(shown: str, fresh: str, where: str) -> None:
    """Compare a printed output with a fresh one; JSON may be broken into lines."""
    if shown[:1] in "[{":
        shown, fresh = (" ".join(text.split()) for text in (shown, fresh))
    shown, fresh = _plain(shown), _plain(fresh)
    lines = ["(?:.*\n)*?" if line == "..." else _pattern(line) + "\n" for line in shown.splitlines()]
    found = re.search("^" + "".join(lines), fresh + "\n", re.M)
    assert found is not None, f"{where} shows\n{shown}\nand a fresh run printed\n{fresh}"
    printed = [number for line in shown.splitlines() for number in NUMBER.findall(line.replace("...", " "))]
    for old, new in zip(printed, found.groups(), strict=True):
        place = 10.0 ** -len(old.partition(".")[2])
        assert abs(float(old) - float(new)) < 1.5 * place, f"{where} shows {old}, a fresh run printed {new}"


def _plain(text: str) -> str:
    for pattern, name in VARYING:
        text = pattern.sub(name, text)
    return "\n".join(line.rstrip() for line in text.splitlines())


def _pattern(line: str) -> str:
    parts = []
    for part in line.split("..."):
        words = [re.escape(word) for word in NUMBER.split(part)]
        parts.append(r"(\d*\.\d+)".join(words))
    return ".*".join(parts)


class Shell:
    """A folder in which the commands of a document are run, in this process where they are ours.

    Args:
        folder: The folder.
        capsys: Reads what was printed.
    """

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys
        self.programs: dict[str, Callable[[list[str]], str]] = {}
        """Programs besides `genre` and `python`: a function of the words behind the name, which returns the output."""
        self.before: dict[str, Callable[[], None]] = {}
        """What is done before each command of `genre` with this verb."""

    def run(self, command: str) -> str:
        """Run one line as written, on the run folder of the name that is there; messages come before the output."""
        words = shlex.split(RUN_FOLDER.sub(self._existing, command), comments=True)
        self.capsys.readouterr()
        if not words:
            return ""
        if words[0] == "genre":
            self.before.get(words[1], lambda: None)()
            main(words[1:])
        elif words[0] in self.programs:
            return self.programs[words[0]](words[1:])
        else:
            assert words[0] == "python", f"no such command here: {command}"
            done = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True, check=True)
            return done.stdout
        out, err = self.capsys.readouterr()
        return (err + out).replace(f"{self.folder}/", "")

    def run_python(self, code: str) -> str:
        """Run a block as a script of its own."""
        (self.folder / "script.py").write_text(code, encoding="utf-8")
        self.capsys.readouterr()
        runpy.run_path("script.py", run_name="__main__")
        return self.capsys.readouterr().out

    def walk(self, page: Path, section: str | None = None, *, skip: tuple[str, ...] = ()) -> int:
        """Run the blocks of a page in their order and compare each output that it shows.

        Returns:
            How many outputs were compared.
        """
        n, fresh = 0, ""
        for language, text in fenced(page, section):
            if language == "python":
                fresh = self.run_python(text)
            elif language == "sh":
                lines = [line for line in text.splitlines() if not line.startswith(skip)]
                fresh = "".join(self.run(line) for line in lines)
            elif language == "console":
                n += self.walk_console(text, page)
            elif language == "text":
                check_shown(text, fresh, page.name)
                n += 1
        return n

    def walk_console(self, block: str, page: Path) -> int:
        """Run the commands of one `console` block, each behind `$ `, and compare what the block shows below them."""
        n = 0
        for command, shown in re.findall(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", block, re.M):
            fresh = self.run(command.replace("\\\n", " "))
            if shown:
                check_shown(shown, fresh, page.name)
                n += 1
        return n

    def _existing(self, written: re.Match[str]) -> str:
        if (self.folder / written[0]).exists():
            return written[0]
        name = "*" if written[1] == "NAME" else written[1]
        (folder,) = self.folder.glob(f"runs/{name}-*/report.json")
        return f"runs/{folder.parent.name}"
