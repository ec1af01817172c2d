"""Options are the fields of a dataclass: their type, range, default and search range in one place.

A class states an option once::

    @dataclass(eq=False)
    class EASE(Recommender):
        regularization: Annotated[float, Gt(0), Search(10, 3000, log=True)] = 300.0

and everything else (checks, config keys, JSON Schema, tuning) reads it from there. This file knows
nothing about YAML or about recommending.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import itertools
import re
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from annotated_types import Ge as Ge
from annotated_types import Gt as Gt
from annotated_types import Le as Le
from annotated_types import Lt as Lt
from typing_extensions import Doc as Doc

from genre.errors import OptionError

MOST_COMPARED = 20_000


@dataclass(frozen=True)
class Search:
    """The sensible range of an option for tuning; `log` searches orders of magnitude.

    when: (another option, its value) for which this one does anything; None: always.
    whole: whole numbers only; optional: None is worth trying too. `search_space` reads both off the type.
    """

    low: float
    high: float
    log: bool = False
    when: tuple[str, Any] | None = None
    whole: bool = False
    optional: bool = False


@dataclass(frozen=True)
class Choices:
    """The values worth trying of an option that is not a number on a line."""

    values: tuple[Any, ...]


@functools.cache
def type_hints(cls: Any) -> dict[str, Any]:
    """Field name -> annotated type of a dataclass, `Annotated` kept."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}


def search_space(cls: type) -> dict[str, Search | Choices]:
    """The options of `cls` that state a search range."""
    space: dict[str, Search | Choices] = {}
    for name, hint in type_hints(cls).items():
        parts = (hint, *typing.get_args(hint))  # `Annotated[float, Search(...)] | None` states it within
        for part in parts:
            for extra in getattr(part, "__metadata__", ()):
                if isinstance(extra, Search):
                    whole = typing.get_args(part)[0] is int
                    space[name] = dataclasses.replace(extra, whole=whole, optional=type(None) in parts)
                elif isinstance(extra, Choices):
                    space[name] = extra
    return space


@functools.cache
def _checker(cls: Any) -> dict[str, Any]:
    # pydantic is imported on first use: it costs a tenth of a second
    from pydantic import ConfigDict, TypeAdapter

    rules = ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False)
    adapters: dict[str, Any] = {}
    for name, hint in type_hints(cls).items():
        plain = any(
            isinstance(part, type) and dataclasses.is_dataclass(part) for part in (hint, *typing.get_args(hint))
        )
        adapters[name] = None if plain else TypeAdapter(hint, config=rules)
    return adapters


def parse_options(
    cls: type, values: dict[str, Any], *, strict: bool = False
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The values as the fields of `cls` want them, and `(option, what is wrong)` for each illegal one.

    Without `strict` a list becomes a tuple and 3 becomes 3.0, as YAML and JSON need.
    """
    from pydantic import ValidationError

    parsed, problems = dict(values), []
    for name, adapter in _checker(cls).items():
        if adapter is None or name not in values:
            continue
        try:
            # a bool is no number, as which YAML's `yes` would pass
            exact = strict or isinstance(values[name], bool)
            parsed[name] = adapter.validate_python(values[name], strict=exact)
        except ValidationError as error:
            for detail in error.errors():
                where = "".join(f"[{part}]" for part in detail["loc"] if isinstance(part, int))
                message = detail["msg"][0].lower() + detail["msg"][1:]
                problems.append((name + where, f"{message}, found {detail['input']!r}"))
    return parsed, problems


def check_options(instance: Any) -> None:
    """Raise `OptionError` naming every field of a dataclass instance that is out of range."""
    cls: type = type(instance)
    _, problems = parse_options(cls, {name: getattr(instance, name) for name in type_hints(cls)}, strict=True)
    if problems:
        lines = "; ".join(f"{name}: {what}" for name, what in problems)
        raise OptionError(f"{cls.__name__}: {lines}")


def nearest(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` or an empty string; no guess among tens of thousands, where it would take seconds."""
    words = list(itertools.islice(known, MOST_COMPARED + 1))
    if len(words) > MOST_COMPARED or len(word) > 200:
        return ""
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


OPTION_LINE = re.compile(r"(?P<names>[a-z_0-9]+(?:, [a-z_0-9]+)*): (?P<text>.*)")


def option_docs(cls: type) -> dict[str, str]:
    """What the docstrings of a class and its bases say of each option: lines `name: text` or `one, other: text`.

    A statement ends with the next one or a blank line; several may share a line: `name: text. other: text`.
    """
    on_fields = {
        name: extra.documentation
        for name, hint in type_hints(cls).items()
        for part in (hint, *typing.get_args(hint))
        for extra in getattr(part, "__metadata__", ())
        if isinstance(extra, Doc)
    }
    return _docstring_options(cls) | on_fields


def _docstring_options(cls: type) -> dict[str, str]:
    known, docs, current = set(type_hints(cls)), dict[str, str](), list[str]()
    said = "\n\n".join(inspect.cleandoc(base.__doc__ or "") for base in reversed(cls.__mro__))
    for line in said.splitlines():
        for part in re.split(r"(?<=\.) (?=[a-z_0-9]+(?:, [a-z_0-9]+)*: )", line.strip()):
            found = OPTION_LINE.match(part)
            names = found["names"].split(", ") if found else []
            if found and set(names) <= known:
                current = names
                docs |= dict.fromkeys(names, found["text"])
            elif not part:
                current = []
            else:
                docs |= {name: f"{docs[name]} {part}" for name in current}
    return docs
