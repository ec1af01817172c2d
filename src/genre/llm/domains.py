"""Domain packs: the words of prompts for films, news, music, a shop or a social network.

A pack is a YAML file in `prompts/`: a few words and a closed list of topics. `sent_fields` is the one way from a table
into a prompt: it returns the listed columns and no others.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import pyarrow as pa
import yaml

from genre.errors import ConfigError, DataError
from genre.llm.prompt import sanitize
from genre.options import nearest

PACKS = ("films", "music", "news", "shop", "social")
DEFAULT_DOMAIN = "films"
FIELD_LENGTH = 600  # characters of one column that are sent


@dataclass(frozen=True)
class Domain:
    """The words of prompts for one domain.

    Attributes:
        item: One recommended thing, such as `film`.
        items: Several of them.
        person: A user, such as `viewer`.
        took: What a user did with an item, such as `watched`.
        topics: The closed list of topics.
        summary: How an English summary of an item begins; empty: as the model chooses.
        profile: How an English profile of a user begins; empty: as the model chooses.
    """

    item: str
    items: str
    person: str
    took: str
    topics: tuple[str, ...]
    summary: str = ""
    profile: str = ""

    def wording(self) -> dict[str, str]:
        """Return the variables that every prompt may use.

        Returns:
            Name -> value.
        """
        return {"item": self.item, "items": self.items, "person": self.person, "took": self.took}


def load_domain(name: str) -> Domain:
    """Read a domain pack.

    Args:
        name: The name of a built-in pack, or the path of a YAML file, which is read anew each time.

    Returns:
        The pack.

    Raises:
        ConfigError: There is no such pack, or it cannot be used.
    """
    if is_domain_file(name):
        return _read(name, Path(name))
    return _built_in(name)


def is_domain_file(name: str) -> bool:
    """Tell whether the name of a domain is the path of a file, and not that of a built-in pack.

    Args:
        name: The option `domain`.

    Returns:
        True for a path; a relative one in a config starts at the config's folder.
    """
    return name.endswith((".yaml", ".yml"))


@functools.cache
def _built_in(name: str) -> Domain:
    """Read a pack that comes with GENRE."""
    return _read(name, resources.files("genre") / "prompts" / f"{name}.yaml")


def _read(name: str, path: Traversable | Path) -> Domain:
    """Read and check the YAML file of a pack."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        topics = tuple(dict.fromkeys(str(topic) for topic in values.pop("topics")))
        pack = Domain(**{key: str(value) for key, value in values.items()}, topics=topics)
    except (OSError, yaml.YAMLError, TypeError, AttributeError, KeyError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"domain {name!r}: not usable ({error}); built in: {', '.join(PACKS)}; or a YAML file with item, items, "
            "person, took, topics"
        ) from error
    for opening in (pack.summary, pack.profile):
        if re.fullmatch(r"[\w ,'-]*", opening) is None:
            raise ConfigError(f"domain {name!r}: {opening!r}: a sentence begins with words; use letters and commas")
    if not pack.topics:
        raise ConfigError(f"domain {name!r}: the list of topics is empty")
    return pack


def sent_fields(table: pa.Table, names: Sequence[str], *, labels: bool = True) -> list[list[str]]:
    """Return the fields of a table's rows that may be sent to a language model.

    Args:
        table: Rows of items or users.
        names: The columns that may be sent.
        labels: Whether each field is `name: text` or the text alone.

    Returns:
        The fields of each row that are not empty, cleaned by `sanitize`. [n]

    Raises:
        DataError: A column does not exist.
    """
    out: list[list[str]] = [[] for _ in range(len(table))]
    for name in names:
        if name not in table.column_names:
            known = ", ".join(table.column_names)
            raise DataError(f"no column {name!r}{nearest(name, table.column_names)}; the table has {known}")
        for row, text in enumerate(column_texts(table, name)):
            plain = sanitize(text, FIELD_LENGTH)
            if plain:
                out[row].append(f"{name}: {plain}" if labels else plain)
    return out


def mean_bytes(texts: Sequence[str]) -> float:
    """Compute the mean length of texts, for estimates of the cost of sending them.

    Args:
        texts: Any texts.

    Returns:
        Bytes in UTF-8; 0 without texts.
    """
    return sum(len(text.encode()) for text in texts) / max(len(texts), 1)


def column_texts(table: pa.Table, name: str) -> list[str]:
    """Return a column as text.

    Args:
        table: Any table.
        name: A column.

    Returns:
        One text a row: lists joined, missing values and missing columns empty. [n]
    """
    if name not in table.column_names:
        return [""] * len(table)
    values = table[name].to_pylist()
    return ["" if v is None else ", ".join(map(str, v)) if isinstance(v, list) else str(v) for v in values]
