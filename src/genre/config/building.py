"""Plain values -> a checked Experiment: the fields of each class are the only legal keys, their types check the values.

All problems are reported at once, each with its line. Knows nothing about YAML.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from genre.config.domain_defaults import pack_path
from genre.config.experiment import EvaluationOptions, Experiment
from genre.config.overrides import COMMAND_LINE
from genre.config.sections import (
    SECTIONS,
    base_of,
    check_own_metric,
    is_list,
    is_nested,
    is_optional,
    kinds_of,
    resolve,
)
from genre.config.serving_options import Explore, ServingOptions
from genre.errors import ConfigError, GenreError, NotImportable
from genre.evaluation.metric_table import OWN
from genre.features.augmentation_prompts import Augmentation
from genre.features.base import Encoder
from genre.features.thumbnails import PictureOptions
from genre.llm.base import LanguageModel
from genre.llm.ledger_table import MEMORY
from genre.llm.settings import LLMOptions
from genre.options import parse_options, required_options, suggest_option, type_hints
from genre.package_files import is_package_file
from genre.preprocessing.sources.base import Source
from genre.recommenders.base import Recommender


def build_experiment(
    values: dict[str, Any],
    name: str,
    lines: dict[str, int],
    origins: dict[str, str],
    folder: Path | None,
    *,
    trust: bool = True,
) -> Experiment:
    """Build the experiment of a config.

    Args:
        values: The plain values of the config.
        name: What to call the config in messages.
        lines: Path of a value (`recommenders[0].kind`) -> its line.
        origins: Path of a value -> where it came from; the seeds that are filled in are added.
        folder: Where relative paths start and modules of the user are looked for; None: paths stay as they are.
        trust: Import modules from `folder`.

    Returns:
        The checked experiment.

    Raises:
        ConfigError: The config is not legal; the message has a line for each problem.
        NotImportable: The same, where the module of a class cannot be imported here.
    """
    builder = _Builder(name, lines, origins, folder, trust=trust)
    experiment = builder.experiment(values)
    if experiment is None or builder.problems:
        raise builder.error_type("\n".join(builder.problems))
    return experiment


def build_serving_options(values: dict[str, Any], name: str, lines: dict[str, int]) -> ServingOptions:
    """Build the options of a service from a file that has that section alone.

    Args:
        values: The plain values: one key, `serving`.
        name: What to call the file in messages.
        lines: Path of a value -> its line.

    Returns:
        The checked options.

    Raises:
        ConfigError: The file is not legal; the message has a line for each problem.
    """
    builder = _Builder(name, lines, {}, None, trust=False)
    if set(values) != {"serving"}:
        builder.problem("", f"expected the section serving: alone, found {', '.join(map(str, values)) or 'nothing'}")
    made = builder.options(ServingOptions, values.get("serving") or {}, "serving")
    if made is None or builder.problems:
        raise ConfigError("\n".join(builder.problems))
    return made  # type: ignore[no-any-return]


class _Builder:
    """Turns plain values into objects and collects every problem instead of stopping at the first."""

    def __init__(
        self, name: str, lines: dict[str, int], origins: dict[str, str], folder: Path | None, *, trust: bool
    ) -> None:
        self.name, self.lines, self.origins, self.folder, self.trust = name, lines, origins, folder, trust
        self.problems: list[str] = []
        self.error_type = ConfigError
        self.seed = 0
        self.domain: str | None = None
        self.exclude_seen = True

    def experiment(self, values: dict[str, Any]) -> Experiment | None:
        """Build the whole experiment; None where there are problems."""
        self.seed = values["seed"] if isinstance(values.get("seed"), int) else 0
        if isinstance(domain := values.get("domain"), str):
            self.domain = domain
        if isinstance(evaluation := values.get("evaluation"), dict):
            self.exclude_seen = evaluation.get("exclude_seen") is not False
        entries = values.get("recommenders")
        labels: tuple[str, ...] = ()
        if isinstance(entries, list):
            labels = _labels(entries)
            self._check_labels(labels)
            values = {**values, "recommenders": [_without(entry, "name") for entry in entries]}
        made = self.options(Experiment, values, "", computed={"labels": labels})
        if not isinstance(made, Experiment):
            return None
        for path, change in (
            ("events", Experiment.with_one_table_of_kinds),
            ("recommenders", Experiment.with_llm_everywhere),
        ):
            try:
                made = change(made)
            except ConfigError as error:
                self.problem(path, str(error))
                return None
        return made

    def _check_labels(self, labels: tuple[str, ...]) -> None:
        """Report labels that cannot name a folder, repeated labels and an empty list."""
        for at, label in enumerate(labels):
            if not label.replace("-", "").replace("_", "").isalnum():
                self.problem(f"recommenders[{at}].name", f"{label!r}: use letters, digits, - and _")
        if len(set(labels)) < len(labels):
            self.problem("recommenders", "two recommenders have the same name; give each a `name`")
        if not labels:
            self.problem("recommenders", "empty; list at least one, such as {kind: ease}")

    def problem(self, path: str, what: str) -> None:
        """Record a problem with the line of its value, of the nearest value around it, or the command line."""
        around = path
        while around and around not in self.lines:
            around = around.rpartition("[" if around.endswith("]") else ".")[0]
        places = [path]
        if path not in self.lines:
            places += [place for place in self.origins if place.startswith((f"{path}.", f"{path}["))]
        origins = {self.origins.get(place, "") for place in places}
        where = f"{self.name}:{self.lines.get(around, 1)}"
        if COMMAND_LINE in origins:
            where = COMMAND_LINE
        elif path not in self.lines and (packs := [one for one in origins if one.startswith("domain ")]):
            where = packs[0]
        self.problems.append(f"{where}: {path + ': ' if path else ''}{what}")

    def value(self, hint: Any, raw: Any, path: str) -> Any:
        """Build one nested value: an object with a `kind`, a plain dataclass, or a list of them."""
        base = base_of(hint)
        if raw is None and is_optional(hint):
            return None
        if is_list(hint):
            if not isinstance(raw, list):
                self.problem(path, f"expected a list, found {raw!r}")
                return ()
            return tuple(self.value(base, item, f"{path}[{at}]") for at, item in enumerate(raw))
        if base in SECTIONS:
            return self.object_of_kind(base, raw, path)
        return self.options(base, {} if raw is None else raw, path)

    def object_of_kind(self, base: type, raw: Any, path: str) -> Any:
        """Build the object that `{kind: ...}` describes."""
        entry = {"kind": raw} if isinstance(raw, str) else raw
        if not isinstance(entry, dict) or not isinstance(entry.get("kind"), str):
            self.problem(path, f"expected {{kind: ...}}, found {raw!r}; kinds: {', '.join(kinds_of(base))}")
            return None
        try:
            cls = resolve(base, entry["kind"], self.folder, trust=self.trust)
        except ConfigError as error:
            self.problem(f"{path}.kind", str(error))
            if isinstance(error, NotImportable):
                self.error_type = NotImportable
            return None
        return self.options(cls, _without(entry, "kind"), path)

    def options(self, cls: type, raw: Any, path: str, *, computed: dict[str, Any] | None = None) -> Any:
        """Build a dataclass from its options; `computed` are fields that a config cannot set."""
        if not isinstance(raw, dict):
            was = f"; explore was diversity, which requests have now; write diversity: {raw}" if cls is Explore else ""
            self.problem(path, f"expected options of {cls.__name__}, found {raw!r}{was}")
            return None
        before, computed = len(self.problems), computed or {}
        hints = {key: hint for key, hint in type_hints(cls).items() if key not in computed}
        given = self._known(cls, raw, hints, path)
        self._inherit(cls, hints, given, path)
        nested = {key: value for key, value in given.items() if is_nested(hints[key])}
        built = {key: self.value(hints[key], value, _join(path, key)) for key, value in nested.items()}
        parsed, wrong = parse_options(cls, {key: value for key, value in given.items() if key not in nested})
        for key, what in wrong:
            self.problem(_join(path, key), what)
        if cls is EvaluationOptions and "metrics" in parsed:
            self._check_own_metrics(parsed["metrics"], _join(path, "metrics"))
        for key in required_options(cls):
            if key not in given and key not in computed:
                self.problem(_join(path, key), f"missing; {cls.__name__} needs it")
        if len(self.problems) > before:
            return None
        try:
            return self._resolve_paths(cls(**parsed, **built, **computed))
        except GenreError as error:  # whatever the class itself refuses, such as options that do not go together
            self.problem(path, str(error))
            return None

    def _check_own_metrics(self, names: tuple[str, ...], path: str) -> None:
        """Import the functions among the metrics, and report those that cannot be."""
        for at, name in enumerate(names):
            own = name.partition("@")[0]
            try:
                if OWN.fullmatch(own):
                    check_own_metric(own, self.folder, trust=self.trust)
            except ConfigError as error:
                self.problem(f"{path}[{at}]", str(error))
                if isinstance(error, NotImportable):
                    self.error_type = NotImportable

    def _inherit(self, cls: type, hints: dict[str, Any], given: dict[str, Any], path: str) -> None:
        """Give an object the seed, domain and `exclude_seen` of the config where it states none, in place."""
        if "seed" in hints and "seed" not in given and path and not issubclass(cls, LanguageModel):
            given["seed"] = self.seed
            self.origins[f"{path}.seed"] = "seed"
        if "domain" in hints and self.domain is not None and "domain" not in given:
            given["domain"] = self.domain
            self.origins[f"{path}.domain"] = "domain"
        if "exclude_seen" in hints and issubclass(cls, Recommender) and "exclude_seen" not in given:
            given["exclude_seen"] = self.exclude_seen
            self.origins[f"{path}.exclude_seen"] = "evaluation"
        if isinstance(given.get("domain"), str):
            given["domain"] = pack_path(given["domain"], self.folder)

    def _known(self, cls: type, raw: dict[str, Any], hints: dict[str, Any], path: str) -> dict[str, Any]:
        """Return the values of known options and report the others."""
        for key in raw:
            if key not in hints:
                legal = ", ".join(hints) or "it has no options"
                self.problem(
                    _join(path, key), f"unknown option of {cls.__name__}{suggest_option(cls, key)}; legal: {legal}"
                )
        return {key: value for key, value in raw.items() if key in hints}

    def _resolve_paths(self, made: Any) -> Any:
        """Return the object with relative paths resolved from the config's folder."""
        if self.folder is None:
            return made
        moved: dict[str, Any] = {}
        if isinstance(made, LLMOptions) and made.ledger not in (None, MEMORY):
            moved["ledger"] = str(self.folder / made.ledger)
        if isinstance(made, Recommender) and (start := getattr(made, "init_from", None)) is not None:
            moved["init_from"] = str(self.folder / start)
        if isinstance(made, (Source, Encoder, Augmentation, PictureOptions)):
            paths = {option: value for option, value in vars(made).items() if isinstance(value, Path)}
            own = {option: path for option, path in paths.items() if not is_package_file(str(path))}
            moved |= {option: self.folder / path for option, path in own.items() if not path.is_absolute()}
        return dataclasses.replace(made, **moved) if moved else made


def _join(path: str, key: str) -> str:
    """Return the path of an option of the object at `path`."""
    return f"{path}.{key}" if path else key


def _labels(entries: list[Any]) -> tuple[str, ...]:
    """Name each recommender by its `name`, else by its kind, with a number from the second of a kind on."""
    labels: list[str] = []
    for entry in entries:
        options = entry if isinstance(entry, dict) else {"kind": entry if isinstance(entry, str) else ""}
        plain = label = str(options.get("name") or options.get("kind")).rpartition(":")[2]
        number = 1
        while "name" not in options and label in labels:
            number += 1
            label = f"{plain}-{number}"
        labels.append(label)
    return tuple(labels)


def _without(entry: Any, key: str) -> Any:
    """Return a mapping without one key, and anything else as it is."""
    return {k: v for k, v in entry.items() if k != key} if isinstance(entry, dict) else entry
