"""Domain packs: what is particular to a shop, a social network, news, music or video, as data files.

A pack is a YAML file in this folder, or a user's own: words of prompts with a closed list of topics, names of columns,
and what a config says where it says nothing else. Knows nothing about configs, prompts or tables.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any

from genre.errors import ConfigError
from genre.options import Doc
from genre.package_files import is_package_file, package_file
from genre.plain_yaml import read_yaml

PACKS = ("video", "shop", "news", "music", "social")
"""The built-in packs; of names of columns those of an earlier one come first."""
DEFAULT_DOMAIN = "video"
DomainName = Annotated[
    str,
    Doc(
        "shop, social, news, music, video, the path of your own YAML file, `package:file.yaml` of an installed "
        "package, or the name of an entry point of the group genre.domains; in a config its `domain`."
    ),
]
KEYS = ("words", "columns", "signs", "config")
FEWEST_SIGNS = 2
"""Names of columns by which a trade is recognised, at least."""


@dataclass(frozen=True)
class Words:
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


@dataclass(frozen=True)
class Domain:
    """A domain pack.

    Attributes:
        words: The words of prompts.
        columns: Role of a column -> names it goes by, letters and digits only, in lower case.
        signs: Names of other columns that tell the domain.
        config: Defaults of a config: sections with their values.
    """

    words: Words
    columns: dict[str, tuple[str, ...]]
    signs: tuple[str, ...]
    config: dict[str, Any]


def load_domain(name: str) -> Domain:
    """Read a domain pack.

    Args:
        name: The name of a built-in pack, the path of a YAML file, which is read anew each time, or what
            `package_file` finds.

    Returns:
        The pack.

    Raises:
        ConfigError: There is no such pack, or it cannot be used.
    """
    if name in PACKS:
        return _built_in(name)
    found = None if is_own_pack(name) else package_file(name, "genre.domains")
    return _read(name, found or Path(name))


def is_own_pack(name: str) -> bool:
    """Tell the path of a user's own pack from the name of one that is built in or installed.

    Args:
        name: What a config says.

    Returns:
        True for the path of a YAML file.
    """
    return name.endswith((".yaml", ".yml")) and not is_package_file(name)


def known_names(role: str) -> list[str]:
    """List the names of columns that the built-in packs know for a role.

    Args:
        role: Such as `item`.

    Returns:
        Letters and digits only, in lower case.
    """
    return [name for pack in PACKS for name in load_domain(pack).columns.get(role, ())]


def recognise_domain(columns: Iterable[str]) -> tuple[str, list[str]] | None:
    """Find the domain whose names most columns have.

    Args:
        columns: Names of columns, letters and digits only, in lower case.

    Returns:
        The name of a built-in pack and the columns that tell it; None where fewer than two columns tell any, or two
        packs as much.
    """
    there = list(dict.fromkeys(columns))
    found = {}
    for pack in PACKS:
        domain = load_domain(pack)
        known = {*domain.signs, *(name for names in domain.columns.values() for name in names)}
        found[pack] = [name for name in there if name in known]
    first, second = sorted(PACKS, key=lambda pack: -len(found[pack]))[:2]
    if len(found[first]) < FEWEST_SIGNS or len(found[first]) == len(found[second]):
        return None
    return first, found[first]


@functools.cache
def _built_in(name: str) -> Domain:
    """Read a pack that comes with GENRE."""
    return _read(name, resources.files("genre") / "domains" / f"{name}.yaml")


def _read(name: str, path: Traversable | Path) -> Domain:
    """Read and check the YAML file of a pack."""
    try:
        values, _ = read_yaml(path.read_text(encoding="utf-8"), str(path))
        if unknown := [key for key in values if key not in KEYS]:
            raise TypeError(f"unknown key {unknown[0]!r}; a pack has {', '.join(KEYS)}")
        words = dict(values["words"])
        topics = tuple(dict.fromkeys(str(topic) for topic in words.pop("topics")))
        columns = {role: tuple(map(str, names)) for role, names in values.get("columns", {}).items()}
        pack = Domain(
            words=Words(**{key: str(value) for key, value in words.items()}, topics=topics),
            columns=columns,
            signs=tuple(map(str, values.get("signs", ()))),
            config=dict(values.get("config", {})),
        )
    except (OSError, ConfigError, TypeError, AttributeError, KeyError, ValueError) as error:
        raise ConfigError(
            f"domain {name!r}: not usable ({error}); built in: {', '.join(sorted(PACKS))}; or a YAML file whose "
            "`words` are item, items, person, took and topics"
        ) from error
    for opening in (pack.words.summary, pack.words.profile):
        if re.fullmatch(r"[\w ,:'-]*", opening) is None:
            raise ConfigError(
                f"domain {name!r}: {opening!r}: a sentence begins with words; use letters, commas and colons"
            )
    if not pack.words.topics:
        raise ConfigError(f"domain {name!r}: the list of topics is empty")
    return pack
