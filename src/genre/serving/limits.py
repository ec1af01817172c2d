"""The limits of a service: seconds, sizes and counts, all in one place. Knows nothing about what keeps to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from genre.errors import OptionError
from genre.options import Doc, Ge, Gt, Renamed, check_options, parse_options, suggest_option, type_hints

T = TypeVar("T")


@dataclass(frozen=True)
class Limits:
    """Time limits of calls, the circuit breakers around them, and the limits of what clients may send."""

    model_seconds: Annotated[float, Gt(0), Doc("Seconds that a batch of requests waits for a recommender.")] = 1.0
    words_seconds: Annotated[float, Gt(0), Doc("Seconds for turning a query in words into a vector.")] = 1.0
    store_seconds: Annotated[float, Gt(0), Doc("Seconds for reading recent events.")] = 0.5
    warm_seconds: Annotated[
        float, Gt(0), Doc("Seconds for the first call of everything, at the start or when a run is replaced.")
    ] = 20.0
    failures: Annotated[
        int, Ge(1), Renamed("patience"), Doc("Failures in a row after which calls of one kind are paused.")
    ] = 3
    pause_seconds: Annotated[float, Ge(0), Doc("Seconds of that pause.")] = 10.0
    rate: Annotated[
        float,
        Ge(0),
        Doc("Requests per second from one address, on average; bursts of twice as many pass. 0: no limit."),
    ] = 0.0
    in_flight: Annotated[int, Ge(1), Doc("Requests worked on at once, those with events apart; more get 503.")] = 32
    events_in_flight: Annotated[int, Ge(1), Doc("Requests with events worked on at once; more get 503.")] = 64
    body_bytes: Annotated[int, Ge(1), Doc("Bytes of one request's body.")] = 1_000_000
    head_bytes: Annotated[int, Ge(1000), Doc("Bytes of one request's address and headers.")] = 65_536
    headers: Annotated[int, Ge(10), Doc("Headers of one request.")] = 100
    item_chars: Annotated[int, Ge(1), Doc("Characters of all fields of an item that is new or has changed.")] = 20_000
    new_fields: Annotated[
        int,
        Ge(0),
        Doc("Fields that new and changed items may have beside those of the run; each costs all items."),
    ] = 100
    new_items_chars: Annotated[
        int, Ge(1), Doc("Characters of the fields of all items that are new or have changed since the run was made.")
    ] = 10_000_000
    connections: Annotated[
        int, Ge(1), Doc("Open connections; one more, and the one that has been idle for longest is closed.")
    ] = 2000
    receive_seconds: Annotated[float, Gt(0), Doc("Seconds for a whole request to arrive.")] = 10.0
    send_seconds: Annotated[float, Gt(0), Doc("Seconds for an answer to be made and received.")] = 60.0

    def __post_init__(self) -> None:
        check_options(self)


def parse_settings(cls: type[T], settings: Sequence[str]) -> T:
    """Read limits from the command line.

    Args:
        cls: The dataclass of the limits.
        settings: `name=value` each.

    Returns:
        The limits, defaults where none is given.

    Raises:
        OptionError: If a name is unknown or a value not legal.
    """
    kind: type = cls
    given, known = _pairs(settings), type_hints(kind)
    strange = next((name for name in given if name not in known), None)
    if strange is not None:
        raise OptionError(f"no limit {strange!r}{suggest_option(cls, strange)}; there are {', '.join(known)}")
    values, problems = parse_options(cls, given)
    if problems:
        raise OptionError("; ".join(f"{name}: {what}" for name, what in problems))
    return cls(**values)


def parse_shares(settings: Sequence[str]) -> dict[str, float] | None:
    """Read the shares of users by run from the command line.

    Args:
        settings: `run=number` each.

    Returns:
        The share by name of the run, or None where no share is given.

    Raises:
        OptionError: If a share is not a number.
    """
    given = _pairs(settings)
    try:
        return {name: float(value) for name, value in given.items()} or None
    except ValueError as error:
        raise OptionError(f"a share is a number, such as movies=0.9 ({error})") from error


def _pairs(settings: Sequence[str]) -> dict[str, str]:
    """Split settings at their first `=`; none may be given twice, since one of them would be ignored."""
    pairs: dict[str, str] = {}
    for setting in settings:
        name, sign, value = (part.strip() for part in setting.partition("="))
        if not sign:
            raise OptionError(f"{setting!r} is not of the form name=value")
        if name in pairs:
            raise OptionError(f"{name} is given more than once")
        pairs[name] = value
    return pairs
