"""The contract of rules, how they are read, and the conditions that say for which items one holds. Knows no list."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np

from genre.data.item_fields import Age, Between, Condition, Filter, ItemFields, Mask, OneOf
from genre.errors import OptionError
from genre.kinds import KINDS, import_class
from genre.options import Doc, check_names, check_options, nearest, parse_options, required_options

RANGES: dict[type[Between | Age], tuple[str, str]] = {Between: ("min", "max"), Age: ("older_than", "newer_than")}
"""Class of a condition -> the keys of its lower and upper bound."""


@dataclass(frozen=True, kw_only=True)
class Rule(ABC):
    """A rule for some items: those in `items`, and those that fulfil all conditions of `where`."""

    where: Annotated[
        dict[str, Any],
        Doc(
            "Conditions on fields of items: a value, a list of values, `{min: 1, max: 5}`, or for times "
            "`{newer_than: 30}` and `{older_than: 30}`, in days. An item fulfils all of them."
        ),
    ] = field(default_factory=dict)
    items: Annotated[tuple[str, ...], Doc("Ids of items for which the rule holds too.")] = ()
    name: Annotated[str | None, Doc("What reasons call the rule; None: its kind.")] = None

    kind: ClassVar[str]
    needs_items: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_options(self)
        parse_where(self.where)
        if self.needs_items and not self.where and not self.items:
            raise OptionError(f"{self.kind}: holds for no item; give where: {{field: value}} or items: [id]")

    @property
    def label(self) -> str:
        """What reasons and messages call the rule."""
        return self.name or self.kind

    def holds_for(self, fields: ItemFields, row: Mapping[str, int], now: int) -> Mask:
        """Return the items for which the rule holds.

        Args:
            fields: The fields of all items.
            row: Row of each item id.
            now: The time, in seconds since 1970.

        Returns:
            The mask. `[n_items]`

        Raises:
            DataError: If no item has a field that a condition names.
        """
        named = [row[item_id] for item_id in self.items if item_id in row]  # others may come later, or be gone
        chosen = parse_where(self.where)
        found = fields.fulfilling(chosen, now) if chosen else np.zeros(fields.n_items, bool)
        if named:
            found = found.copy()
            found[named] = True
        return found


def parse_where(where: Mapping[str, Any]) -> Filter:
    """Convert plain conditions, as YAML and JSON write them.

    Args:
        where: Field -> a value, a list of values, or a mapping of bounds.

    Returns:
        The conditions.

    Raises:
        OptionError: If one is none of these.
    """
    return frozenset((name, _condition(name, value)) for name, value in where.items())


def _condition(name: str, value: Any) -> Condition:
    if isinstance(value, Mapping):
        for cls, (low, high) in RANGES.items():
            bounds = [value.get(low), value.get(high)]
            if value and set(value) <= {low, high}:
                wrong = [one for one in bounds if one is not None and (isinstance(one, bool) or not _is_number(one))]
                if wrong:
                    raise OptionError(f"where.{name}: bounds are numbers, not {wrong[0]!r}")
                return cls(*bounds)
        known = " or ".join(f"{{{low}, {high}}}" for low, high in RANGES.values())
        raise OptionError(f"where.{name}: found {dict(value)!r}; expected a value, a list of values, {known}")
    values = value if isinstance(value, (list, tuple)) else [value]
    if not values or any(isinstance(one, (dict, list, tuple)) or one is None for one in values):
        raise OptionError(f"where.{name}: found {value!r}; expected a value or a list of values")
    return OneOf(frozenset(str(one).casefold() for one in values))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and value == value and abs(value) != float("inf")


def read_rules(values: Sequence[Mapping[str, Any]]) -> tuple[Rule, ...]:
    """Make rules of plain values, such as the JSON of a request: built-in kinds alone.

    Args:
        values: For each rule its `kind` and its options, as in a config.

    Returns:
        The rules.

    Raises:
        OptionError: If one is no rule; the message names its place.
    """
    return tuple(_read(value, f"rules[{at}]") for at, value in enumerate(values))


def _read(value: Mapping[str, Any], place: str) -> Rule:
    kind = value.get("kind")
    built_in = KINDS["rules"]
    if not isinstance(kind, str) or kind not in built_in:
        known = ", ".join(built_in)
        raise OptionError(f"{place}: found kind {kind!r}{nearest(str(kind), built_in)}; kinds: {known}")
    cls: type[Rule] = import_class(built_in[kind])
    options = {key: option for key, option in value.items() if key != "kind"}
    try:
        check_names(cls, options)
        missing = [name for name in required_options(cls) if name not in options]
        if missing:
            raise OptionError(f"{missing[0]}: missing; {kind} needs it")
        parsed, problems = parse_options(cls, options)
        if problems:
            raise OptionError("; ".join(f"{option}: {problem}" for option, problem in problems))
        return cls(**parsed)
    except OptionError as error:
        raise OptionError(f"{place}: {error}") from error
