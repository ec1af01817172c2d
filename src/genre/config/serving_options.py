"""The options of the service in a config: what is recorded, what is drawn at random. Knows nothing about serving."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from genre.options import Doc, check_options

RecordShows = Literal["buffered", "durable", "off"]


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

    def __post_init__(self) -> None:
        check_options(self)
