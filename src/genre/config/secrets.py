"""What must not stand in the files of a run: passwords, keys, and in reports full local paths. Knows no option."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any
from urllib.parse import unquote

from genre.errors import ConfigError

_SECRETS = re.compile(
    r"""://[^\s/?\#@'"]*:[^\s/@]+@                                          # scheme://user:password@host
    | ://\S*[?&;](ssl)?(pass|passwd|password|pwd|token|access_?token|api_?key|secret)=[^\s&'"]   # ...?password=
    | ://\S*[?&;](sig|signature|x-(amz|goog)-(signature|security-token))=[^\s&'"]               # a signed address
    | \b(password|passwd|pwd|account_?key|access_?key)\s*=\s*['"]?[^\s'"]            # host=... password=...
    | \bcreate\s+(or\s+replace\s+)?((persistent|temporary)\s+)?secret\b           # of DuckDB
    | \bbearer\s+(?=\S*\d)[\w.~+/-]{16,}
    | -----BEGIN[ \w]*PRIVATE\ KEY
    | \bsk-(?=[\w-]*\d)[\w-]{20,} | \bhf_[a-z0-9]{20,} | \bgh[pousr]_[a-z0-9]{30,} | \bgithub_pat_\w{20,}
    | \bglpat-[\w-]{16,} | \bxox[abprs]-[\w-]{10,} | \bAIza[\w-]{30,} | (?-i:\b(AKIA|ASIA)[A-Z0-9]{16}\b)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_FOLDERS = re.compile(r"(?<![\w.:/~-])(sqlite:/{0,3})?/([^\s/'\",;:]+/)+")
REMEDY = (
    "a password or key, which would stand in the files of the run; leave it out: PostgreSQL takes it from the "
    "environment variable PGPASSWORD or from ~/.pgpass, a language model its key from the variable that key_variable "
    "names"
)


def refuse_secrets(name: str, text: str, overrides: Iterable[str], values: Any) -> None:
    """Refuse a config that holds a password, a key or a signed address, comments included; no message repeats it.

    Args:
        name: What to call the config in messages.
        text: The YAML as it was written.
        overrides: `dotted.key=value` each.
        values: The plain values of both.

    Raises:
        ConfigError: There is a password, a key or a signed address; the message has a line for each.
    """
    lines = [f"{name}:{at}: {REMEDY}" for at, line in enumerate(text.splitlines(), 1) if _is_secret(line)]
    given = (one.partition("=") for one in overrides)
    lines += [f"command line: {key}: {REMEDY}" for key, _, value in given if _is_secret(value)]
    if lines or any(map(_is_secret, _texts(values))):
        raise ConfigError("\n".join(lines) or f"{name}: {REMEDY}")


def _is_secret(text: str) -> bool:
    """Tell whether a text has a secret in it, also one that is written with percent signs, as addresses may be."""
    return any(_SECRETS.search(form) for form in {text, unquote(text)})


def _texts(values: Any) -> list[str]:
    """Return all texts inside plain values."""
    if isinstance(values, dict):
        return [text for value in values.values() for text in _texts(value)]
    if isinstance(values, (list, tuple)):
        return [text for value in values for text in _texts(value)]
    return [values] if isinstance(values, str) else []


def without_folders(values: Any) -> Any:
    """Leave the names of files alone of all full paths.

    Args:
        values: Plain values.

    Returns:
        The same values, for readers elsewhere: `/home/ann/shop/sales.csv` becomes `sales.csv`.
    """
    if isinstance(values, dict):
        return {key: without_folders(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [without_folders(value) for value in values]
    if not isinstance(values, str):
        return values
    path = PurePath(values)
    return path.name if path.is_absolute() else _FOLDERS.sub(r"\1", values)
