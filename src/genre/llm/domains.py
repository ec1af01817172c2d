"""Domain packs: how a language model is spoken to about films, news, music, a shop or a social network.

A pack is a YAML file in `prompts/`: a few words and a closed list of topics. Here is also the gate that every text of a
table passes on its way to a model: `told` hands out listed columns and no others.
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
    """item, items: what is recommended. person, took: who did what with it. topics: the only ones there are.

    summary, profile: how an English sentence about an item, about a person begins; empty: as the model likes.
    """

    item: str
    items: str
    person: str
    took: str
    topics: tuple[str, ...]
    summary: str = ""
    profile: str = ""

    def wording(self) -> dict[str, str]:
        """The variables of the prompts that every prompt may use."""
        return {"item": self.item, "items": self.items, "person": self.person, "took": self.took}


def load_domain(name: str) -> Domain:
    """A pack by name, or the YAML file at a path of your own, read anew each time."""
    if name.endswith((".yaml", ".yml")):
        return _read(name, Path(name))
    return _built_in(name)


@functools.cache
def _built_in(name: str) -> Domain:
    return _read(name, resources.files("genre") / "prompts" / f"{name}.yaml")


def _read(name: str, path: Traversable | Path) -> Domain:
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
    """For each row the listed fields as `name: text`, or the text alone; what is empty is left out."""
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
    """How long texts are, for estimates of what it costs to send them."""
    return sum(len(text.encode()) for text in texts) / max(len(texts), 1)


def column_texts(table: pa.Table, name: str) -> list[str]:
    """A column as text; lists joined, missing values and missing columns empty."""
    if name not in table.column_names:
        return [""] * len(table)
    values = table[name].to_pylist()
    return ["" if v is None else ", ".join(map(str, v)) if isinstance(v, list) else str(v) for v in values]
