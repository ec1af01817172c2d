"""The built-in rules. What each does to a list, and in which order, is in `applying.py`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

from genre.errors import OptionError
from genre.options import Doc, Ge, Gt, Le
from genre.rules.base import Rule


@dataclass(frozen=True, kw_only=True)
class Hide(Rule):
    """These items are in no list: out of stock, expired, taken down."""

    kind: ClassVar[str] = "hide"


@dataclass(frozen=True, kw_only=True)
class Only(Rule):
    """No other items are in any list: those that may be sold in a region, or a campaign."""

    kind: ClassVar[str] = "only"


@dataclass(frozen=True, kw_only=True)
class NotWithin(Rule):
    """An item that the user had within so many days is not recommended again; of use with seen items in lists."""

    days: Annotated[float, Gt(0), Doc("Days since the user's last interaction with the item.")]

    kind: ClassVar[str] = "not_within"
    needs_items: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class Boost(Rule):
    """These items move up."""

    by: Annotated[
        float,
        Gt(0),
        Le(10),
        Doc("What is added to scores scaled to 0..1 over the best 4 k items; 1: their whole range."),
    ] = 0.2

    kind: ClassVar[str] = "boost"


@dataclass(frozen=True, kw_only=True)
class Bury(Rule):
    """These items move down."""

    by: Annotated[
        float,
        Gt(0),
        Le(10),
        Doc("What is taken off scores scaled to 0..1 over the best 4 k items; 1: their whole range."),
    ] = 0.2

    kind: ClassVar[str] = "bury"


@dataclass(frozen=True, kw_only=True)
class Pin(Rule):
    """One item has a fixed place in every list."""

    item: Annotated[str, Doc("Id of the item.")]
    place: Annotated[int, Ge(1), Le(1000), Doc("Its place; 1: the first. A shorter list ends with it.")] = 1

    kind: ClassVar[str] = "pin"
    needs_items: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class AtMost(Rule):
    """A list has at most so many items of each category, or of those for which the rule holds."""

    n: Annotated[int, Ge(0), Doc("Number of items in a list.")]
    per: Annotated[
        str | None,
        Doc("Field whose categories are counted apart, such as brand; None: all its items together."),
    ] = None

    kind: ClassVar[str] = "at_most"
    needs_items: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.per is None and not self.where and not self.items:
            raise OptionError("at_most: give `per`, a field whose categories are counted, or `where`")


@dataclass(frozen=True, kw_only=True)
class AtLeast(Rule):
    """A list has at least such a share of these items: new ones, own brands."""

    share: Annotated[float, Gt(0), Le(1), Doc("Share of the places of a list; rounded up.")]

    kind: ClassVar[str] = "at_least"

    def places(self, k: int) -> int:
        """Return how many places the rule asks for.

        Args:
            k: Length of the list.

        Returns:
            The number, 1 to `k`.
        """
        return math.ceil(self.share * k - 1e-9)
