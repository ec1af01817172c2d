"""The options of a service in a config: what is recorded, and experiments between runs. Knows no service."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Annotated, Literal

from annotated_types import MinLen

from genre.errors import OptionError
from genre.options import DEFAULT_K, Doc, Ge, Gt, Le, check_options

RecordShows = Literal["buffered", "durable", "off"]


@dataclass(frozen=True)
class Explore:
    """A known share of the places of lists is drawn at random, so that other runs can be judged by what was shown."""

    share: Annotated[float, Gt(0), Le(0.5), Doc("Share of the places.")] = 0.05
    kind: Annotated[
        Literal["uniform", "thompson"],
        Doc("`uniform`: each candidate alike; `thompson`: by what may be clicked most, from clicks a show so far."),
    ] = "uniform"
    candidates: Annotated[int, Ge(2), Le(1000), Doc("Best items of which one is drawn.")] = 100

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class Gate:
    """What a refreshed run has to keep up to before it goes live."""

    margin: Annotated[
        float, Gt(0), Le(1), Doc("The largest loss of ndcg that is accepted, as a part of the old value.")
    ] = 0.02
    unsure: Annotated[
        Literal["live", "hold"], Doc("What happens where the newest interactions are too few to tell.")
    ] = "live"
    coverage: Annotated[
        float, Ge(0), Le(1), Doc("Different items in the lists that are needed, as a part of those before.")
    ] = 0.5
    k: Annotated[int, Ge(1), Doc("Length of a list.")] = DEFAULT_K
    users: Annotated[int, Ge(2), Doc("Most users that are compared; of more, so many are drawn.")] = 50_000
    seed: Annotated[int, Doc("Seed of that draw.")] = 0

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class Guardrails:
    """How much worse than the first arm another one may get before the experiment is to be stopped."""

    fallbacks: Annotated[
        float, Ge(0), Le(1), Doc("Share of lists that a fallback made, above that of the first arm.")
    ] = 0.02
    empty: Annotated[float, Ge(0), Le(1), Doc("Share of lists without an item, above that of the first arm.")] = 0.01
    seconds: Annotated[float, Ge(1), Doc("Seconds a list takes, as a multiple of those of the first arm.")] = 1.5
    coverage: Annotated[
        float, Ge(0), Le(1), Doc("Different items in the newest 1,000 lists, as a part of those of the first arm.")
    ] = 0.5


@dataclass(frozen=True)
class OnlineExperiment:
    """Users are assigned to runs by a hash of their id, salted with the name, as long as the experiment lasts."""

    name: Annotated[str, MinLen(1), Doc("Its name; with another name users are assigned anew.")]
    arms: Annotated[
        dict[str, Annotated[float, Gt(0)]],
        MinLen(2),
        Doc("Share of the users by name of a run. The first is the one compared with."),
    ]
    outcome: Annotated[str, Doc("The kind of event that users are counted by who did it: 1 or 0 a user.")] = "buy"
    days: Annotated[float, Gt(0), Doc("Days after a user's first list in which that counts.")] = 7.0
    planned: Annotated[
        int, Ge(100), Doc("Users an arm at which intervals are narrowest; set it before the experiment begins.")
    ] = 10_000
    start: Annotated[
        str | date | None, Doc("When it begins, such as `2026-12-01` or `2026-12-01T08:00`, UTC; None: at once.")
    ] = None
    end: Annotated[str | date | None, Doc("When it ends; None: not by itself.")] = None
    guardrails: Annotated[Guardrails, Doc("When it is to be stopped whatever the outcome.")] = field(
        default_factory=Guardrails
    )

    def __post_init__(self) -> None:
        check_options(self)
        if self.begins >= self.ends:
            raise OptionError(f"experiment {self.name!r}: end {self.end} is not after start {self.start}")

    @property
    def begins(self) -> int:
        """Seconds since 1970; 0 without a start."""
        return 0 if self.start is None else _moment("start", self.start)

    @property
    def ends(self) -> int:
        """Seconds since 1970; far ahead without an end."""
        return 2**40 if self.end is None else _moment("end", self.end)


@dataclass(frozen=True)
class ServingOptions:
    """How a service serves a run."""

    record_shows: Annotated[
        RecordShows,
        Doc(
            "Whether lists are recorded in the event log: `buffered`, in one commit every 50 ms, so that a kill may "
            "lose the last ones; `durable`, before the answer; `off`."
        ),
    ] = "buffered"
    experiments: Annotated[
        tuple[OnlineExperiment, ...], Doc("Experiments between runs that are served together, one at a time.")
    ] = ()
    explore: Annotated[Explore | None, Doc("What is drawn at random; None: nothing.")] = None
    gate: Annotated[Gate, Doc("What a refreshed run has to keep up to.")] = field(default_factory=Gate)

    def __post_init__(self) -> None:
        check_options(self)
        last: OnlineExperiment | None = None
        for one in sorted(self.experiments, key=lambda one: one.begins):
            if last is not None and one.begins < last.ends:
                raise OptionError(
                    f"experiments {last.name!r} and {one.name!r} overlap; give the first an end before the other starts"
                )
            last = one
        names = [one.name for one in self.experiments]
        if len(set(names)) < len(names):
            raise OptionError("two experiments have the same name; give each its own")


def _moment(option: str, text: str | date) -> int:
    try:
        moment = datetime.fromisoformat(str(text))  # YAML reads a date without quotes as one
    except ValueError:
        raise OptionError(f"{option}: found {text!r}; expected a date such as 2026-12-01 or 2026-12-01T08:00") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
