"""Commands that a person copies from the terminal into a shell. Does not know the verbs."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path


def command(*words: str) -> str:
    """Write a command that can be copied from the terminal into a shell, whatever its words hold.

    Args:
        *words: the words of the command, such as ids of the data.

    Returns:
        The words, quoted where needed; unprintable characters as escapes of `$'...'`.
    """
    typed = (_program(), *words[1:]) if words[0] == "genre" else words
    return " ".join(shlex.quote(word) if word.isprintable() else f"$'{_escapes(word)}'" for word in typed)


def commands_inside(folder: str, *commands: Sequence[str]) -> str:
    """Write commands to be called one after another in a folder, with the programs that were called for this one.

    Args:
        folder: The folder.
        *commands: The words of each command; its first one is `genre`, or `python` for the Python that runs now.

    Returns:
        One line for a shell.
    """
    typed = _program()
    program = {
        "genre": typed if typed == "genre" else str(Path(typed).absolute()),
        "python": "python" if _is_found("python", sys.executable) else sys.executable,
    }
    lines = [["cd", folder], *([program[first], *words] for first, *words in commands)]
    return " && ".join(shlex.join(line) for line in lines)


def _program() -> str:
    """Return `genre`, or its path as it was typed where the shell finds none, or another one, by name."""
    by_path = Path(sys.argv[0]).name == "genre" and "/" in sys.argv[0]
    return sys.argv[0] if by_path and not _is_found("genre", sys.argv[0]) else "genre"


def _is_found(name: str, path: str) -> bool:
    """Tell whether the shell finds a program by its name."""
    found = shutil.which(name)
    return found is not None and Path(found).absolute() == Path(path).absolute()


def _escapes(word: str) -> str:
    """Escape backslashes, quotes and unprintable characters as bash, zsh and POSIX 2024 read them in `$'...'`."""
    plain = word.replace("\\", "\\\\").replace("'", "\\'")
    return "".join(char if char.isprintable() else _octal(char) for char in plain)


def _octal(char: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in char.encode("utf-8", "surrogateescape"))
