"""Commands that a person copies from the terminal into a shell. Does not know the verbs."""

from __future__ import annotations

import shlex
import shutil
import sys
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


def _program() -> str:
    """Return `genre`, or its path as it was typed where the shell finds none, or another one, by name."""
    typed, found = Path(sys.argv[0]), shutil.which("genre")
    by_path = typed.name == "genre" and "/" in sys.argv[0]
    return sys.argv[0] if by_path and (found is None or typed.absolute() != Path(found).absolute()) else "genre"


def _escapes(word: str) -> str:
    """Escape backslashes, quotes and unprintable characters as bash, zsh and POSIX 2024 read them in `$'...'`."""
    plain = word.replace("\\", "\\\\").replace("'", "\\'")
    return "".join(char if char.isprintable() else _octal(char) for char in plain)


def _octal(char: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in char.encode("utf-8", "surrogateescape"))
