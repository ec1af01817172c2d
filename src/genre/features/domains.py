"""Domain packs: how a language model is spoken to about films, news, music, a shop or a social network.

A pack is a YAML file in `prompts/`: four words and a closed list of topics. Knows nothing about models.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import yaml

from genre.errors import ConfigError

PACKS = ("films", "music", "news", "shop", "social")


@dataclass(frozen=True)
class Domain:
    """item, items: what is recommended. person, took: who did what with it. topics: the only ones there are."""

    item: str
    items: str
    person: str
    took: str
    topics: tuple[str, ...]

    def wording(self) -> dict[str, str]:
        """The variables of the prompts that every prompt may use."""
        return {"item": self.item, "items": self.items, "person": self.person, "took": self.took}


@functools.cache
def load_domain(name: str) -> Domain:
    """A pack by name, or the YAML file at a path of your own."""
    own = name.endswith((".yaml", ".yml"))
    try:
        path = Path(name) if own else resources.files("genre") / "prompts" / f"{name}.yaml"
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        topics = tuple(dict.fromkeys(str(topic) for topic in values.pop("topics")))
        pack = Domain(**{key: str(value) for key, value in values.items()}, topics=topics)
    except (OSError, yaml.YAMLError, TypeError, AttributeError, KeyError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"domain {name!r}: not usable ({error}); built in: {', '.join(PACKS)}; or a YAML file with item, items, "
            "person, took, topics"
        ) from error
    if not pack.topics:
        raise ConfigError(f"domain {name!r}: the list of topics is empty")
    return pack
