"""Prompts: text files with named variables, whose values are data and cannot become instructions.

A prompt file is plain text with variables written as `{{name}}`. Values lose angle brackets and control characters, so
that no value can close a `<data>` block of the prompt or look like a mark of a chat template. Knows nothing about
recommending.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from genre.errors import ConfigError
from genre.options import nearest

Value = str | int | float | Sequence[str]

_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
MAX_CHARACTERS = 2_000  # of one value; a longer text is cut


@dataclass(frozen=True)
class Prompt:
    """A prompt file.

    Attributes:
        name: Its name without `.md`.
        text: Its text.
    """

    name: str
    text: str

    @property
    def variables(self) -> frozenset[str]:
        """Names of the variables in the text."""
        return frozenset(_VARIABLE.findall(self.text))

    @property
    def hash(self) -> str:
        """A digest of the text, part of the ledger's keys: another wording is another prompt."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    def render(self, **values: Value) -> str:
        """Replace every variable by its value.

        Args:
            **values: One value a variable; a list becomes lines, one an entry.

        Returns:
            The text to send.

        Raises:
            ConfigError: A variable is missing or unknown.
        """
        missing = sorted(self.variables - set(values))
        unknown = sorted(set(values) - self.variables)
        if missing or unknown:
            what = [f"variable {name!r} is missing" for name in missing]
            what += [f"there is no variable {name!r}{nearest(name, self.variables)}" for name in unknown]
            raise ConfigError(f"prompt {self.name}: {'; '.join(what)}; it has {', '.join(sorted(self.variables))}")
        return _VARIABLE.sub(lambda match: _as_data(values[match[1]]), self.text)


def load_prompt(name: str, path: str | Path | None = None) -> Prompt:
    """Read a prompt.

    Args:
        name: The name of a built-in prompt.
        path: A file to read instead.

    Returns:
        The prompt.

    Raises:
        ConfigError: The file cannot be read.
    """
    try:
        if path is not None:
            text = Path(path).read_text(encoding="utf-8")
        else:
            text = (resources.files("genre") / "prompts" / f"{name}.md").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"prompt {path or name}: cannot be read ({error}); give the path of a text file") from error
    return Prompt(name, text.strip() + "\n")


def _as_data(value: Value) -> str:
    """Return a value as text that is safe inside a `<data>` block."""
    if isinstance(value, (int, float)):
        return str(value)
    return sanitize(value) if isinstance(value, str) else "\n".join(sanitize(line) for line in value)


def sanitize(text: str, most: int = MAX_CHARACTERS) -> str:
    """Make a text safe to put into a prompt: one line without control characters, direction marks or angle brackets.

    Args:
        text: Any text.
        most: Characters that are kept.

    Returns:
        The text on one line, single spaces between words.
    """
    plain = "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c for c in text[: 2 * most])
    return " ".join(plain.replace("<", "‹").replace(">", "›").split())[:most].rstrip()
