"""Rules from plain values, such as the JSON of a request: built-in kinds alone."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from genre.errors import OptionError
from genre.kinds import KINDS
from genre.options import check_names, nearest, parse_options
from genre.rules.base import Rule


def read_rules(values: Sequence[Mapping[str, Any]]) -> tuple[Rule, ...]:
    """Make rules of plain values.

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
    if kind not in KINDS["rules"]:
        known = ", ".join(KINDS["rules"])
        raise OptionError(f"{place}: found kind {kind!r}{nearest(str(kind), KINDS['rules'])}; kinds: {known}")
    module, _, name = KINDS["rules"][kind].partition(":")
    cls: type[Rule] = getattr(importlib.import_module(module), name)
    options = {key: option for key, option in value.items() if key != "kind"}
    try:
        check_names(cls, options)
        parsed, problems = parse_options(cls, options)
        if problems:
            raise OptionError("; ".join(f"{option}: {problem}" for option, problem in problems))
        return cls(**parsed)
    except TypeError as error:  # an option without a default is missing
        raise OptionError(f"{place}: {error}") from error
    except OptionError as error:
        raise OptionError(f"{place}: {error}") from error
