"""Prompts: text files with named variables. What is put in is data and cannot become an instruction.

A prompt file is plain text in which `{{name}}` stands for a variable. Values lose angle brackets and control
characters, so nothing that is put in can close a `<data>` block of the prompt or look like a chat template's mark.
Knows nothing about recommending.
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
MAX_CHARACTERS = 2_000  # of one value: a text longer than that is cut


@dataclass(frozen=True)
class Prompt:
    """A prompt file: its name and its text."""

    name: str
    text: str

    @property
    def variables(self) -> frozenset[str]:
        return frozenset(_VARIABLE.findall(self.text))

    @property
    def hash(self) -> str:
        """What the ledger keys on: another wording is another prompt."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    def render(self, **values: Value) -> str:
        """The text with every variable replaced once; ConfigError naming a missing or an unknown variable.

        A list becomes lines, one an entry.
        """
        missing = sorted(self.variables - set(values))
        unknown = sorted(set(values) - self.variables)
        if missing or unknown:
            what = [f"variable {name!r} is missing" for name in missing]
            what += [f"there is no variable {name!r}{nearest(name, self.variables)}" for name in unknown]
            raise ConfigError(f"prompt {self.name}: {'; '.join(what)}; it has {', '.join(sorted(self.variables))}")
        return _VARIABLE.sub(lambda match: _as_data(values[match[1]]), self.text)


def load_prompt(name: str, path: str | Path | None = None) -> Prompt:
    """The prompt `name` that comes with GENRE, or the one in the file `path`."""
    try:
        if path is not None:
            text = Path(path).read_text(encoding="utf-8")
        else:
            text = (resources.files("genre") / "prompts" / f"{name}.md").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"prompt {path or name}: cannot be read ({error}); give the path of a text file") from error
    return Prompt(name, text.strip() + "\n")


def _as_data(value: Value) -> str:
    if isinstance(value, (int, float)):
        return str(value)
    return sanitize(value) if isinstance(value, str) else "\n".join(sanitize(line) for line in value)


def sanitize(text: str, most: int = MAX_CHARACTERS) -> str:
    """One line without control characters, direction marks, angle brackets or a run of marks, at most `most` long."""
    plain = "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c for c in text[: 2 * most])
    return " ".join(plain.replace("<", "‹").replace(">", "›").split())[:most].rstrip()
