"""The classes that a config names by `kind`, section by section.

`kind` is a short name of `kinds.py`, an entry point of the group `genre.<section>`, or `package.module:Class`; it must
be a subclass of its section's base. An import path runs code, so a config is trusted as code is: it is read from disk,
never from the network. The config of a run folder, which may be somebody else's, is not: no module comes from there.
Knows nothing about YAML.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import importlib.util
import sys
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genre.engines.base import Engine
from genre.errors import ConfigError, NotImportable
from genre.features.base import Encoder
from genre.kinds import KINDS
from genre.llm.base import LanguageModel
from genre.options import leaf_types, nearest
from genre.preprocessing.sources.base import Source
from genre.preprocessing.splits import Splitter
from genre.recommenders.base import Recommender
from genre.rules.base import Rule

SECTIONS: dict[type, str] = {
    Source: "data",
    Engine: "engine",
    Splitter: "split",
    Encoder: "features",
    LanguageModel: "llm",
    Recommender: "recommenders",
    Rule: "rules",
}
"""The base class of everything that has a `kind` -> its section in `kinds.py`."""


_OF_PYTHON = sys.stdlib_module_names | {"test"}


def resolve(base: type, kind: str, folder: Path | None = None, *, trust: bool = True) -> type:
    """Import the class that a `kind` names.

    Args:
        base: The base class of the section.
        kind: A built-in name, the name of an entry point, or `package.module:Class`.
        folder: Where modules of the user are looked for besides `sys.path`.
        trust: Import modules from `folder` and the working directory; False: no module that is inside `folder`.

    Returns:
        A dataclass that extends `base`.

    Raises:
        ConfigError: There is no such kind, or its class does not extend `base`; the message suggests a kind.
        NotImportable: The module cannot be imported here.
    """
    section = SECTIONS[base]
    target = KINDS[section].get(kind) or (kind if ":" in kind else _entry_point(section, kind))
    if not target:
        known = kinds_of(base)
        raise ConfigError(
            f"unknown kind {kind!r}{nearest(kind, known)}; built in: {', '.join(known)}; "
            "or your own package.module:Class"
        )
    if folder is not None and not trust and kind not in KINDS[section]:
        _refuse_modules_of(folder, f"kind {kind!r}", target.partition(":")[0])
    cls = _import_class(f"kind {kind!r}", target, folder if ":" in kind and trust else None)
    if not (isinstance(cls, type) and issubclass(cls, base) and dataclasses.is_dataclass(cls)):
        raise ConfigError(f"kind {kind!r}: must be a dataclass that extends {base.__name__}")
    return cls


def check_own_metric(path: str, folder: Path | None = None, *, trust: bool = True) -> None:
    """Check that a metric of the user's own can be computed, by running the code of its module where that is trusted.

    Args:
        path: `module:function`.
        folder: Where the module may be, besides PYTHONPATH.
        trust: Whether to import the module. What is not trusted is not imported here, nor may it be in `folder`.

    Raises:
        NotImportable: Its module cannot be imported, or is in a folder that is not trusted.
        ConfigError: It is no function.
    """
    if folder is not None and not trust:
        _refuse_modules_of(folder, f"metric {path!r}", path.partition(":")[0])
        return
    if not callable(_import_class(f"metric {path!r}", path, folder)):
        raise ConfigError(f"metric {path!r}: is no function")


def _entry_point(section: str, kind: str) -> str:
    """Return the `module:Class` that an installed package registers under a name; empty without one.

    Reads the metadata of every installed package, which takes tens of milliseconds.
    """
    points = importlib.metadata.entry_points(group=f"genre.{section}", name=kind)
    return next((point.value for point in points), "")


def _refuse_modules_of(folder: Path, what: str, module: str) -> None:
    """Raise NotImportable where a module that is not imported yet, or a package around it, is inside a folder.

    The same for modules of Python itself and for those that are commands.
    """
    parts = module.split(".")
    if parts[0] in _OF_PYTHON or "__main__" in parts:  # some of them do things when they are imported
        raise NotImportable(f"{what}: {module} is no module of recommenders, and is not imported; {TRUST}")
    for at in range(len(parts)):
        name = ".".join(parts[: at + 1])
        if name in sys.modules:
            continue
        try:
            spec = importlib.util.find_spec(name)  # imports the packages around it, which were checked before
        except (ImportError, ValueError):
            spec = None
        if spec is None:
            return  # `_import_class` says so
        places = [*(spec.submodule_search_locations or ()), spec.origin if spec.has_location else None]
        if any(place and Path(place).resolve().is_relative_to(folder.resolve()) for place in places):
            raise NotImportable(f"{what}: {module} is a file of the run folder, whose code is not run; {TRUST}")


def _import_class(what: str, target: str, folder: Path | None) -> Any:
    """Return what `module:name` holds; the errors say what to do about a module that cannot be imported."""
    module, _, name = target.partition(":")
    if not all((*module.split("."), name)):
        raise ConfigError(f"{what}: is no package.module:Class")
    try:
        with _importable(folder):
            return getattr(importlib.import_module(module), name)
    except SyntaxError as error:
        raise ConfigError(f"{what}: {module} is not valid Python ({error}); mend it") from error
    except ImportError as error:
        own = f"put the folder where its file lies on PYTHONPATH; for a config, start there; for a run, {TRUST}"
        remedy = own if ":" in what else "install what it needs"
        raise NotImportable(f"{what}: cannot import {module} ({error}); {remedy}") from error
    except AttributeError as error:
        raise ConfigError(f"{what}: {module} has no {name}") from error


TRUST = "if you trust its author, give --trust (in Python: trust=True), which runs code of the folder"
"""The remedy where a run folder names a class that cannot be imported without the folder."""


@contextmanager
def _importable(folder: Path | None) -> Iterator[None]:
    """Let modules in `folder` and in the working directory be imported inside the block."""
    places = [] if folder is None else [str(folder), str(Path.cwd())]
    sys.path[:0] = places
    try:
        yield
    finally:
        for place in places:
            sys.path.remove(place)


def kinds_of(base: type) -> list[str]:
    """List the built-in kinds of a section.

    Args:
        base: The base class of the section.

    Returns:
        Short names in alphabetical order.
    """
    return sorted(KINDS[SECTIONS[base]])


def kind_name(cls: type) -> str:
    """Return the shortest `kind` that names a class.

    Args:
        cls: A subclass of a section's base.

    Returns:
        A built-in name, or `package.module:Class`.
    """
    path = f"{cls.__module__}:{cls.__qualname__}"
    section = next(section for base, section in SECTIONS.items() if issubclass(cls, base))
    return next((name for name, target in KINDS[section].items() if target == path), path)


# --- what the type of an option holds -----------------------------------------------------------------


def is_optional(hint: Any) -> bool:
    """Tell whether None is legal.

    Args:
        hint: The annotated type of an option.

    Returns:
        True for `X | None`.
    """
    return type(None) in leaf_types(hint)


def is_list(hint: Any) -> bool:
    """Tell whether an option holds several values.

    Args:
        hint: The annotated type of an option.

    Returns:
        True for lists and tuples.
    """
    return any(typing.get_origin(part) in (tuple, list) for part in leaf_types(hint))


def base_of(hint: Any) -> Any:
    """Return the class of the values in an option.

    Args:
        hint: The annotated type of an option.

    Returns:
        `Recommender` for `tuple[Recommender, ...] | None`.
    """
    part = next((part for part in leaf_types(hint) if part is not type(None)), None)
    return base_of(typing.get_args(part)[0]) if typing.get_origin(part) in (tuple, list) else part


def is_nested(hint: Any) -> bool:
    """Tell whether an option holds objects with a `kind` or with options of their own.

    Args:
        hint: The annotated type of an option.

    Returns:
        True for such an object and for a list of them.
    """
    base = base_of(hint)
    return isinstance(base, type) and (base in SECTIONS or dataclasses.is_dataclass(base))
