"""The limits of a service and of a refresh: how long, how much, how far. All numbers to turn, in one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from genre.errors import OptionError
from genre.options import Ge, Gt, check_options, nearest, parse_options, type_hints

RENAMED = {"patience": "failures"}


@dataclass(frozen=True)
class Limits:
    """How long a caller waits for a breaker, when a failing one is left alone, and what is let in.

    model_seconds: for a recommender's answer to a batch.
    words_seconds: for turning words into a vector.
    store_seconds: for reading recent events.
    warm_seconds: for the first answer of each breaker, before the service is ready or a run is swapped in.
    failures: failures in a row after which a breaker is paused. pause_seconds: for how long.
    rate: requests a second from one address, on average, with bursts of twice as many; more get 429. 0: no limit.
    in_flight: requests worked on at once but those with events; more get 503. Each waits for the others.
    events_in_flight: requests with events worked on at once: a flood of lists takes none of their places.
    body_bytes: of one request.
    connections: open at once; when there are more, the one that has kept us waiting longest goes.
    receive_seconds: for a whole request to come in. send_seconds: for its answer to be made and taken.
    """

    model_seconds: Annotated[float, Gt(0)] = 1.0
    words_seconds: Annotated[float, Gt(0)] = 1.0
    store_seconds: Annotated[float, Gt(0)] = 0.5
    warm_seconds: Annotated[float, Gt(0)] = 20.0
    failures: Annotated[int, Ge(1)] = 3
    pause_seconds: Annotated[float, Ge(0)] = 10.0
    rate: Annotated[float, Ge(0)] = 0.0
    in_flight: Annotated[int, Ge(1)] = 32
    events_in_flight: Annotated[int, Ge(1)] = 64
    body_bytes: Annotated[int, Ge(1)] = 1_000_000
    connections: Annotated[int, Ge(1)] = 2000
    receive_seconds: Annotated[float, Gt(0)] = 10.0
    send_seconds: Annotated[float, Gt(0)] = 60.0

    def __post_init__(self) -> None:
        check_options(self)


def parse_limits(settings: Sequence[str]) -> Limits:
    """Limits from `name=value` each; OptionError names what is none, and what is not legal."""
    return Limits(**_values(Limits, settings))


def _values(cls: Any, settings: Sequence[str]) -> dict[str, Any]:
    given, known = dict(_pair(setting) for setting in settings), type_hints(cls)
    renamed = next((name for name in given if name in RENAMED), None)
    if renamed is not None:
        raise OptionError(f"the limit `{renamed}` is called `{RENAMED[renamed]}` now")
    strange = next((name for name in given if name not in known), None)
    if strange is not None:
        raise OptionError(f"no limit {strange!r}{nearest(strange, known)}; there are {', '.join(known)}")
    values, problems = parse_options(cls, given)
    if problems:
        raise OptionError("; ".join(f"{name}: {what}" for name, what in problems))
    return values


def parse_shares(settings: Sequence[str]) -> dict[str, float] | None:
    """Shares of users by run from `run=number` each, None without any; OptionError for what is no number."""
    try:
        return {name: float(value) for name, value in map(_pair, settings)} or None
    except ValueError as error:
        raise OptionError(f"a share is a number, such as movies=0.9 ({error})") from error


def _pair(setting: str) -> tuple[str, str]:
    name, sign, value = setting.partition("=")
    if not sign:
        raise OptionError(f"{setting!r} is not of the form name=value")
    return name.strip(), value.strip()
