"""Options are the fields of a dataclass: their type, range, default, search range and text in one place.

A class states an option once::

    @dataclass(eq=False)
    class EASE(Recommender):
        regularization: Annotated[
            float, Gt(0), Search(10, 3000, log=True), Doc("Ridge on the Gram matrix, in interactions.")
        ] = 300.0

and everything else (checks, config keys, JSON Schema, tuning, reference pages) reads it from there. This file knows
nothing about YAML or about recommending.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import itertools
import types
import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge as Ge
from annotated_types import Gt as Gt
from annotated_types import Le as Le
from annotated_types import Lt as Lt
from typing_extensions import Doc as Doc

from genre.defaults import DEFAULT_K as DEFAULT_K
from genre.errors import OptionError

YAML_WORDS = {True: ("on", "yes"), False: ("off", "no")}
"""Words without quotes that YAML reads as true and false."""
MOST_COMPARED = 20_000
"""The most known words that a misspelt word is compared with: comparing with more would take seconds."""


@dataclass(frozen=True)
class Search:
    """The sensible range of an option for tuning.

    Attributes:
        low: The smallest value worth trying.
        high: The largest value worth trying.
        log: Whether to search orders of magnitude.
        when: `(another option, its value)` for which this one has an effect; None: always.
        multiple: Whole numbers that are a multiple of this are worth trying.
        whole: Whole numbers only. `search_space` sets it from the type.
        optional: None is worth trying too. `search_space` sets it from the type.
    """

    low: float
    high: float
    log: bool = False
    when: tuple[str, Any] | None = None
    multiple: int = 1
    whole: bool = False
    optional: bool = False

    def whole_number(self, value: float) -> int:
        """Round a value to a whole number worth trying.

        Args:
            value: A number.

        Returns:
            The nearest multiple of `multiple`, not beyond the range.
        """
        return int(min(max(round(value / self.multiple) * self.multiple, self.low), self.high))


@dataclass(frozen=True)
class Choices:
    """The values worth trying of an option that is not a number."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Renamed:
    """A marker on an option: its name in the last release, which is refused with a message that gives the new name."""

    old: str


@functools.cache
def type_hints(cls: Any) -> dict[str, Any]:
    """Return the annotated type of each field of a dataclass.

    Args:
        cls: The dataclass.

    Returns:
        Field name -> type, `Annotated` kept.
    """
    hints = typing.get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}


def leaf_types(hint: Any) -> Iterator[Any]:
    """Yield the types inside `X`, `X | None` and `Annotated[X, ...]`.

    Args:
        hint: A type, as `type_hints` returns it.
    """
    if typing.get_origin(hint) is Annotated:
        yield from leaf_types(typing.get_args(hint)[0])
    elif typing.get_origin(hint) in (typing.Union, types.UnionType):
        for part in typing.get_args(hint):
            yield from leaf_types(part)
    else:
        yield hint


def metadata(hint: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each mark of `Annotated` in a type, however nested, with the part of the type that carries it.

    In `Annotated[float, Search(...)] | None` a part carries the mark.

    Args:
        hint: A type, as `type_hints` returns it.
    """
    for extra in getattr(hint, "__metadata__", ()):
        yield hint, extra
    for part in typing.get_args(hint):
        yield from metadata(part)


def search_space(cls: type) -> dict[str, Search | Choices]:
    """Return the search range of each option that has one.

    Args:
        cls: A dataclass.

    Returns:
        Option name -> its range or its values worth trying.
    """
    space: dict[str, Search | Choices] = {}
    for name, hint in type_hints(cls).items():
        optional = type(None) in leaf_types(hint)
        for part, extra in metadata(hint):
            if isinstance(extra, Search):
                space[name] = dataclasses.replace(extra, whole=int in leaf_types(part), optional=optional)
            elif isinstance(extra, Choices):
                space[name] = extra
    return space


@functools.cache
def _validators(cls: Any) -> dict[str, Any]:
    """Return pydantic's validator of each option; None for options that hold a dataclass, which checks itself."""
    from pydantic import ConfigDict, TypeAdapter  # on first use: the import takes a tenth of a second

    rules = ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False)
    validators: dict[str, Any] = {}
    for name, hint in type_hints(cls).items():
        parts = (part for leaf in leaf_types(hint) for part in (leaf, *typing.get_args(leaf)))
        nested = any(isinstance(part, type) and dataclasses.is_dataclass(part) for part in parts)
        validators[name] = None if nested else TypeAdapter(hint, config=rules)
    return validators


@functools.cache
def _words(cls: Any) -> dict[str, frozenset[Any]]:
    """Return the words that each option may be, of a `Literal`."""
    leaves = {name: leaf_types(hint) for name, hint in type_hints(cls).items()}
    return {
        name: frozenset(word for leaf in found if typing.get_origin(leaf) is Literal for word in typing.get_args(leaf))
        for name, found in leaves.items()
    }


def parse_options(
    cls: type, values: dict[str, Any], *, strict: bool = False
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Convert plain values to the types of the fields of a dataclass.

    Args:
        cls: The dataclass.
        values: Option name -> value.
        strict: Whether to convert nothing. Otherwise a list becomes a tuple and 3 becomes 3.0, as YAML and JSON need,
            and what YAML reads as false becomes `off` or `no`, of an option with that word.

    Returns:
        The converted values, and `(option, problem)` for each value that is not legal.
    """
    from pydantic import ValidationError

    parsed, problems = dict(values), []
    for name, validator in _validators(cls).items():
        if validator is None or name not in values:
            continue
        try:
            value = values[name]
            if isinstance(value, bool) and not strict:
                value = next((word for word in YAML_WORDS[value] if word in _words(cls)[name]), value)
            exact = strict or isinstance(value, bool)  # YAML's `yes` is no number
            parsed[name] = validator.validate_python(value, strict=exact)
        except ValidationError as error:
            for detail in error.errors():
                where = "".join(f"[{part}]" for part in detail["loc"] if isinstance(part, int))
                message = detail["msg"][0].lower() + detail["msg"][1:]
                problems.append((name + where, f"{message}, found {detail['input']!r}"))
    return parsed, problems


def check_options(instance: Any) -> None:
    """Check every option of a dataclass instance.

    Args:
        instance: The instance.

    Raises:
        OptionError: Options are out of their range; the message names each.
    """
    cls: type = type(instance)
    _, problems = parse_options(cls, {name: getattr(instance, name) for name in type_hints(cls)}, strict=True)
    if problems:
        lines = "; ".join(f"{name}: {problem}" for name, problem in problems)
        raise OptionError(f"{cls.__name__}: {lines}")


def options_of(instance: Any) -> dict[str, Any]:
    """Return the options of a dataclass instance.

    Args:
        instance: The instance.

    Returns:
        Name -> value, of what its constructor takes.
    """
    return {field.name: getattr(instance, field.name) for field in dataclasses.fields(instance) if field.init}


def nearest(word: str, known: Iterable[str]) -> str:
    """Suggest the known word that is spelt most like an unknown one.

    Args:
        word: The unknown word.
        known: The known words; with more than `MOST_COMPARED` of them there is no suggestion.

    Returns:
        ` (did you mean 'x'?)`, or an empty string where nothing is similar.
    """
    words = list(itertools.islice(known, MOST_COMPARED + 1))
    if len(words) > MOST_COMPARED or len(word) > 200:
        return ""
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


@functools.cache
def new_names(cls: Any) -> dict[str, str]:
    """List the options that had another name in the last release.

    Args:
        cls: A class whose annotations are its options: a dataclass or a pydantic model.

    Returns:
        Name in the last release -> name now.
    """
    hints = typing.get_type_hints(cls, include_extras=True)
    marks = ((name, mark) for name, hint in hints.items() for _, mark in metadata(hint))
    return {mark.old: name for name, mark in marks if isinstance(mark, Renamed)}


def check_names(cls: type, names: Iterable[str]) -> None:
    """Check that a dataclass has the options that are named.

    Args:
        cls: The dataclass.
        names: Names of options.

    Raises:
        OptionError: It lacks one; the message names the nearest.
    """
    known = type_hints(cls)
    for name in names:
        if name not in known:
            legal = ", ".join(known) or "it has none"
            raise OptionError(f"{cls.__name__} has no option {name!r}{suggest_option(cls, name)}; options: {legal}")


def required_options(cls: Any) -> list[str]:
    """Return the names of the options of a dataclass that have no default.

    Args:
        cls: The dataclass.

    Returns:
        The names.
    """
    return [
        option.name
        for option in dataclasses.fields(cls)
        if option.init and option.default is dataclasses.MISSING and option.default_factory is dataclasses.MISSING
    ]


def suggest_option(cls: type, name: str) -> str:
    """Suggest the option of a dataclass that a user means by a name that it does not have.

    Args:
        cls: The dataclass.
        name: The unknown name.

    Returns:
        ` (renamed: write 'x')` for the name of the last release, ` (moved: ...)` for an option that went to another
        class (`moved_options`), ` (did you mean 'x'?)` for a similar name, or an empty string.
    """
    if moved := getattr(cls, "moved_options", {}).get(name):
        return f" (moved: {moved})"
    renamed = new_names(cls).get(name)
    return nearest(name, type_hints(cls)) if renamed is None else f" (renamed: write {renamed!r})"


def option_docs(cls: type) -> dict[str, str]:
    """Return the text of each option of a dataclass: its `Doc`.

    Args:
        cls: The dataclass.

    Returns:
        Option name -> text, for the options that have one.
    """
    return {
        name: extra.documentation
        for name, hint in type_hints(cls).items()
        for _, extra in metadata(hint)
        if isinstance(extra, Doc)
    }
