"""YAML -> a checked Experiment, in two passes over `kind`; the only file that knows the word.

Pass 1: `kind` is a short name of `kinds.py`, an entry point of the group `genre.<section>`, or
`package.module:Class`; it must be a subclass of its section's base. Pass 2: the class's dataclass fields are the
only legal keys, their annotations check the values. All mistakes are reported at once.

An import path runs code, so a config is trusted as code is: it is read from disk, never from the network.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import sys
import types
import typing
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml

from genre.config.experiment import Experiment
from genre.errors import ConfigError, GenreError, NotImportable
from genre.features.augmentation_prompts import Augmentation
from genre.features.base import Encoder
from genre.kinds import KINDS
from genre.llm.base import LanguageModel
from genre.llm.ledger_table import MEMORY
from genre.llm.settings import LLMOptions
from genre.options import nearest, parse_options, suggest_option, type_hints
from genre.plain_yaml import read_yaml
from genre.preprocessing.sources.base import Source
from genre.preprocessing.splits import Splitter
from genre.recommenders.base import Recommender
from genre.recommenders.network_base import NetworkRecommender

SECTIONS: dict[type, str] = {
    Source: "data",
    Splitter: "split",
    Encoder: "features",
    LanguageModel: "llm",
    Recommender: "recommenders",
}
"""The base class of everything that has a `kind` -> its section in `kinds.py`."""

MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class Config:
    """An Experiment with the text it came from and, for each value, where it came from."""

    experiment: Experiment
    text: str
    full: dict[str, Any]
    origins: dict[str, str]


def read_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read and check a YAML file; `overrides` are `dotted.key=value`. ConfigError lists every mistake."""
    file = Path(path)
    try:
        raw = file.read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror}); give the path of a YAML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{file}: {len(raw):,} bytes; a config has at most {MAX_BYTES:,}")
    return parse_config(text, str(file), overrides, folder=file.resolve().parent)


def parse_config(text: str, name: str, overrides: Sequence[str] = (), *, folder: Path | None = None) -> Config:
    """Check the text of a config; `name` stands in messages, own classes and files are looked for in `folder`."""
    values, lines = read_yaml(text, name)
    origins = {path: f"line {line}" for path, line in lines.items()}
    for override in overrides:
        _override(values, origins, override)
    builder = _Builder(name, lines, origins, folder)
    experiment = builder.experiment(values)
    if builder.problems:
        raise builder.raised("\n".join(builder.problems))
    assert experiment is not None
    return Config(experiment, text, to_dict(experiment), builder.origins)


# --- overrides -----------------------------------------------------------------------------------------


def _override(values: dict[str, Any], origins: dict[str, str], override: str) -> None:
    dotted, equals, text = override.partition("=")
    if not equals or not dotted:
        raise ConfigError(f"override {override!r}: write dotted.key=value, such as evaluation.k=20")
    value, _ = read_yaml(f"value: {text}", f"override {override!r}")
    at: Any = values
    path = ""
    *parents, last = dotted.replace("[", ".").replace("]", "").split(".")
    for part in parents:
        path, at = _place(at, path, part, override), _step(at, part, override)
    path = _place(at, path, last, override)
    if isinstance(at, list):
        at[_position(at, last, override)] = value["value"]
    else:
        at[last] = value["value"]
    for beneath in [place for place in origins if place.startswith((f"{path}.", f"{path}["))]:
        del origins[beneath]
    _mark(origins, path, value["value"])


def _place(at: Any, path: str, part: str, override: str) -> str:
    """The path of a part of `at`, which stands at `path`, as messages name it."""
    if isinstance(at, list):
        return f"{path}[{_position(at, part, override)}]"
    return f"{path}.{part}" if path else part


def _mark(origins: dict[str, str], path: str, value: Any) -> None:
    origins[path] = "command line"
    for part, inner in enumerate(value) if isinstance(value, list) else ():
        _mark(origins, f"{path}[{part}]", inner)
    for part, inner in value.items() if isinstance(value, dict) else ():
        _mark(origins, f"{path}.{part}", inner)


def _step(at: Any, part: str, override: str) -> Any:
    if isinstance(at, list):
        return at[_position(at, part, override)]
    if not isinstance(at.setdefault(part, {}), (dict, list)):
        raise ConfigError(f"override {override!r}: {part!r} is a single value")
    return at[part]


def _position(items: list[Any], part: str, override: str) -> int:
    """A place in a list: its number, or the `name` or `kind` of what stands there."""
    for at, item in enumerate(items):
        if part == str(at) or (isinstance(item, dict) and part in (item.get("name"), item.get("kind"))):
            return at
    names = [str(item.get("name") or item.get("kind")) for item in items if isinstance(item, dict)]
    raise ConfigError(f"override {override!r}: no {part!r} in the list ({', '.join(names)})")


# --- building: two passes over `kind` -----------------------------------------------------------------


class _Builder:
    """Turns plain values into objects, gathering every problem instead of stopping at the first."""

    def __init__(self, name: str, lines: dict[str, int], origins: dict[str, str], folder: Path | None) -> None:
        self.name, self.lines, self.origins, self.folder = name, lines, origins, folder
        self.problems: list[str] = []
        self.raised = ConfigError
        self.seed = 0

    def experiment(self, values: dict[str, Any]) -> Experiment | None:
        self.seed = values["seed"] if isinstance(values.get("seed"), int) else 0
        entries = values.get("recommenders")
        labels: tuple[str, ...] = ()
        if isinstance(entries, list):
            labels = _labels(entries)
            for at, label in enumerate(labels):
                if not label.replace("-", "").replace("_", "").isalnum():
                    self.problem(f"recommenders[{at}].name", f"{label!r}: use letters, digits, - and _")
            values = {**values, "recommenders": [_without(entry, "name") for entry in entries]}
            if len(set(labels)) < len(labels):
                self.problem("recommenders", "two recommenders have the same name; give each a `name`")
            if not entries:
                self.problem("recommenders", "empty; list at least one, such as {kind: ease}")
        made = self.dataclass_(Experiment, values, "", hidden={"labels"}, extra={"labels": labels})
        if not isinstance(made, Experiment):
            return None
        try:
            return made.asking()
        except ConfigError as error:
            self.problem("recommenders", str(error))
            return None

    def problem(self, path: str, what: str) -> None:
        at = path
        while at and at not in self.lines:
            at = at.rpartition("[" if at.endswith("]") else ".")[0]
        beneath = (
            [] if path in self.lines else [key for key in self.origins if key.startswith((f"{path}.", f"{path}["))]
        )
        overridden = "command line" in {self.origins.get(key) for key in (path, *beneath)}
        where = "command line" if overridden else f"{self.name}:{self.lines.get(at, 1)}"
        self.problems.append(f"{where}: {path + ': ' if path else ''}{what}")

    def value(self, hint: Any, raw: Any, path: str) -> Any:
        """One nested value: an object with a `kind`, a plain dataclass, or a list of them."""
        base = base_of(hint)
        if raw is None and is_optional(hint):
            return None
        if is_list(hint):
            if not isinstance(raw, list):
                self.problem(path, f"expected a list, found {raw!r}")
                return ()
            return tuple(self.value(base, item, f"{path}[{at}]") for at, item in enumerate(raw))
        if base in SECTIONS:
            return self.kind(base, raw, path)
        return self.dataclass_(base, {} if raw is None else raw, path)

    def kind(self, base: type, raw: Any, path: str) -> Any:
        entry = {"kind": raw} if isinstance(raw, str) else raw
        if not isinstance(entry, dict) or not isinstance(entry.get("kind"), str):
            self.problem(path, f"expected {{kind: ...}}, found {raw!r}; kinds: {', '.join(kinds_of(base))}")
            return None
        try:
            cls = resolve(base, entry["kind"], self.folder)
        except ConfigError as error:
            self.problem(f"{path}.kind", str(error))
            self.raised = NotImportable if isinstance(error, NotImportable) else self.raised
            return None
        return self.dataclass_(cls, _without(entry, "kind"), path)

    def dataclass_(
        self,
        cls: type,
        raw: Any,
        path: str,
        *,
        hidden: Set[str] = frozenset(),
        extra: dict[str, Any] | None = None,
    ) -> Any:
        if not isinstance(raw, dict):
            self.problem(path, f"expected options of {cls.__name__}, found {raw!r}")
            return None
        before = len(self.problems)
        hints = {key: hint for key, hint in type_hints(cls).items() if key not in hidden}
        here = {key: f"{path}.{key}" if path else key for key in {*raw, *hints}}
        for key in raw:
            if key not in hints:
                legal = ", ".join(hints) or "it has no options"
                self.problem(here[key], f"unknown option of {cls.__name__}{suggest_option(cls, key)}; legal: {legal}")
        given = {key: raw[key] for key in raw if key in hints}
        if "seed" in hints and "seed" not in given and path and not issubclass(cls, LanguageModel):
            given["seed"] = self.seed
            self.origins[here["seed"]] = "seed"
        built = {key: self.value(hints[key], value, here[key]) for key, value in given.items() if is_nested(hints[key])}
        parsed, wrong = parse_options(cls, {key: value for key, value in given.items() if key not in built})
        for key, what in wrong:
            self.problem(f"{path}.{key}" if path else key, what)
        for option in dataclasses.fields(cls):
            missing = option.default is dataclasses.MISSING and option.default_factory is dataclasses.MISSING
            if option.init and missing and option.name not in given and option.name not in hidden:
                self.problem(here[option.name], f"missing; {cls.__name__} needs it")
        if len(self.problems) > before:
            return None
        try:
            return self._resolve_paths(cls(**parsed, **built, **(extra or {})))
        except GenreError as error:
            self.problem(path, str(error))
            return None

    def _resolve_paths(self, made: Any) -> Any:
        """A relative file is relative to the config that names it."""
        if self.folder is not None and isinstance(made, LLMOptions) and made.ledger not in (None, MEMORY):
            return dataclasses.replace(made, ledger=str(self.folder / made.ledger))
        if self.folder is not None and isinstance(made, NetworkRecommender) and made.init_from is not None:
            return dataclasses.replace(made, init_from=str(self.folder / made.init_from))
        if self.folder is None or not isinstance(made, (Source, Encoder, Augmentation)):
            return made
        moved: dict[str, Any] = {}
        for option, value in vars(made).items():
            if isinstance(value, Path) and not value.is_absolute():
                moved[option] = self.folder / value
        return dataclasses.replace(made, **moved) if moved else made  # type: ignore[type-var]  # a dataclass


def resolve(base: type, kind: str, folder: Path | None = None) -> type:
    """The class a `kind` names: built in, an entry point, or `package.module:Class`."""
    section = SECTIONS[base]
    entry_points = {point.name: point.value for point in importlib.metadata.entry_points(group=f"genre.{section}")}
    target = KINDS[section].get(kind) or entry_points.get(kind) or (kind if ":" in kind else "")
    if not target:
        known = kinds_of(base)
        raise ConfigError(
            f"unknown kind {kind!r}{nearest(kind, known)}; built in: {', '.join(known)}; "
            "or your own package.module:Class"
        )
    module, _, name = target.partition(":")
    try:
        with _importable(folder if ":" in kind else None):
            cls = getattr(importlib.import_module(module), name)
    except SyntaxError as error:
        raise ConfigError(f"kind {kind!r}: {module} is not valid Python ({error}); mend it") from error
    except ImportError as error:
        own = "start in the folder where its file lies, or put that folder on PYTHONPATH"
        remedy = own if ":" in kind else "install what it needs"
        raise NotImportable(f"kind {kind!r}: cannot import {module} ({error}); {remedy}") from error
    except AttributeError as error:
        raise ConfigError(f"kind {kind!r}: {module} has no {name}") from error
    if not (isinstance(cls, type) and issubclass(cls, base) and dataclasses.is_dataclass(cls)):
        raise ConfigError(f"kind {kind!r}: must be a dataclass that extends {base.__name__}")
    return cls


def kinds_of(base: type) -> list[str]:
    """The built-in kinds of a section, in alphabetical order."""
    return sorted(KINDS[SECTIONS[base]])


@contextmanager
def _importable(folder: Path | None) -> Iterator[None]:
    """Own classes beside the config, or where the command was started, can be imported while it is read."""
    places = [] if folder is None else [str(folder), str(Path.cwd())]
    sys.path[:0] = places
    try:
        yield
    finally:
        for place in places:
            sys.path.remove(place)


def _labels(entries: list[Any]) -> tuple[str, ...]:
    """A name for each recommender: its `name`, else its kind, numbered when the kind stands more than once."""
    labels: list[str] = []
    for entry in entries:
        raw = (
            entry
            if isinstance(entry, str)
            else entry.get("name") or entry.get("kind")
            if isinstance(entry, dict)
            else ""
        )
        label = str(raw).rpartition(":")[2]
        named = isinstance(entry, dict) and "name" in entry
        labels.append(label if named or label not in labels else f"{label}-{labels.count(label) + 1}")
    return tuple(labels)


def _without(entry: Any, key: str) -> Any:
    return {k: v for k, v in entry.items() if k != key} if isinstance(entry, dict) else entry


# --- what the annotations say -------------------------------------------------------------------------


def _parts(hint: Any) -> Iterator[Any]:
    """The types inside `X`, `X | None`, `Annotated[X, ...]`."""
    origin = typing.get_origin(hint)
    if origin is Annotated:
        yield from _parts(typing.get_args(hint)[0])
    elif origin in (typing.Union, types.UnionType):
        for part in typing.get_args(hint):
            yield from _parts(part)
    else:
        yield hint


def is_optional(hint: Any) -> bool:
    """Whether None is legal."""
    return type(None) in _parts(hint)


def is_list(hint: Any) -> bool:
    """Whether several values are meant."""
    return any(typing.get_origin(part) in (tuple, list) for part in _parts(hint))


def base_of(hint: Any) -> Any:
    """The class that a nested hint speaks of: `Recommender` of `tuple[Recommender, ...] | None`."""
    part = next((part for part in _parts(hint) if part is not type(None)), None)
    return base_of(typing.get_args(part)[0]) if typing.get_origin(part) in (tuple, list) else part


def is_nested(hint: Any) -> bool:
    """Whether the value is an object with a `kind`, or options of its own, or a list of those."""
    base = base_of(hint)
    return isinstance(base, type) and (base in SECTIONS or dataclasses.is_dataclass(base))


# --- writing ------------------------------------------------------------------------------------------


def to_dict(made: Any) -> Any:
    """An object back as plain values, every default filled in; `read_config` reads it again."""
    if isinstance(made, Experiment):
        out = {o.name: to_dict(getattr(made, o.name)) for o in dataclasses.fields(made) if o.name != "labels"}
        for entry, label in zip(out["recommenders"], made.labels, strict=True):
            if entry["kind"] != label:
                entry["name"] = label
        return out
    if dataclasses.is_dataclass(made) and not isinstance(made, type):
        kind = {"kind": kind_name(type(made))} if isinstance(made, tuple(SECTIONS)) else {}
        return kind | {o.name: to_dict(getattr(made, o.name)) for o in dataclasses.fields(made) if o.init}
    if isinstance(made, (tuple, list)):
        return [to_dict(item) for item in made]
    if isinstance(made, dict):
        return {key: to_dict(value) for key, value in made.items()}
    return str(made) if isinstance(made, Path) else made


def kind_name(cls: type) -> str:
    """The shortest `kind` that names a class."""
    path = f"{cls.__module__}:{cls.__qualname__}"
    section = next(section for base, section in SECTIONS.items() if issubclass(cls, base))
    return next((name for name, target in KINDS[section].items() if target == path), path)


def to_yaml(value: dict[str, Any]) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)


def explain_config(config: Config) -> str:
    """The config with every default filled in and, behind each value, where it came from."""
    lines: list[str] = []
    _explain(config.full, "", 0, config.origins, lines)
    return "\n".join(lines)


def _explain(value: Any, path: str, indent: int, origins: dict[str, str], lines: list[str]) -> None:
    pad = "  " * indent
    entries = value.items() if isinstance(value, dict) else ((f"[{at}]", item) for at, item in enumerate(value))
    for key, item in entries:
        at = f"{path}{key}" if key.startswith("[") else f"{path}.{key}" if path else key
        label = "-" if key.startswith("[") else f"{key}:"
        if item and isinstance(item, (dict, list)) and (isinstance(item, dict) or isinstance(item[0], dict)):
            lines.append(f"{pad}{label}")
            _explain(item, at, indent + 1, origins, lines)
        else:
            shown = yaml.safe_dump(item, default_flow_style=True, allow_unicode=True, width=10_000)
            text = f"{pad}{label} {shown.removesuffix('...' + chr(10)).strip()}"
            lines.append(f"{text:<70} # {origins.get(at) or _filled_in(at, origins)}")


def _filled_in(path: str, origins: dict[str, str]) -> str:
    """Where a value came from that stands nowhere: the section `llm` where nobody else is named, or a default."""
    inside, llm, _ = path.rpartition(".llm.")
    return "llm" if llm and f"{inside}.llm" not in origins else "default"
