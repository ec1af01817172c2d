"""The context of requests: when a list is wanted, and in which circumstances. Knows no history and no recommender."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from genre.arrays import Int64
from genre.data.durations import DAY, HOUR
from genre.errors import DataError
from genre.options import nearest

Texts = npt.NDArray[np.object_]

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
TIME_NAMES = ("hour", "weekday", "month")
"""The names of context that a time has: 0 to 23, `monday` to `sunday`, 1 to 12."""
EARLIEST = 100_000_000
"""Data whose newest time is before this (1973) has an order for times, not a clock."""


@dataclass(frozen=True, eq=False)
class Context:
    """The context of `n` requests; a value that is not known is an empty text.

    Attributes:
        time: Seconds since 1970, -1 where unknown; None: no time is known. int64 `[n]`
        values: Name -> texts `[n]`, such as `device` -> `phone`. They go before what follows from the time.
    """

    time: Int64 | None = None
    values: Mapping[str, Texts] = field(default_factory=dict)

    def select(self, rows: Any) -> Context:
        """Pick requests.

        Args:
            rows: Their numbers, a mask, or a slice.

        Returns:
            The context of these.
        """
        time = None if self.time is None else self.time[rows]
        return Context(time, {name: texts[rows] for name, texts in self.values.items()})

    def of(self, name: str) -> Texts | None:
        """Return one value of each request.

        Args:
            name: Such as `hour` or `device`.

        Returns:
            Texts `[n]`; None where nothing is known of it.
        """
        if name in self.values:
            return self.values[name]
        return time_texts(name, self.time) if self.time is not None and name in TIME_NAMES else None

    @classmethod
    def of_requests(cls, times: Sequence[int], values: Sequence[Mapping[str, str]]) -> Context:
        """Make the context of requests.

        Args:
            times: Seconds since 1970 of each.
            values: What each says beside.

        Returns:
            The context of all.
        """
        names = dict.fromkeys(name for one in values for name in one)
        moments = np.asarray(times, np.int64)
        found = {}
        for name in names:
            texts = time_texts(name, moments) if name in TIME_NAMES else np.full(len(times), "", object)
            for at, one in enumerate(values):
                texts[at] = one.get(name, texts[at])
            found[name] = texts
        return cls(moments, found)


def tells_requests(time: Int64 | None) -> bool:
    """Tell whether times are those of a clock that requests have, too.

    Args:
        time: Of interactions; None: there is none. `[n]`

    Returns:
        False for an order in place of times.
    """
    return time is not None and bool(time.max(initial=0) >= EARLIEST)


def time_texts(name: str, time: Int64) -> Texts:
    """Return the hour, weekday or month of times, as they are written in the data.

    Args:
        name: One of `TIME_NAMES`.
        time: Seconds since 1970, -1 where unknown `[n]`.

    Returns:
        Texts `[n]`, empty where the time is unknown.
    """
    if name == "hour":
        texts = (time // HOUR % 24).astype(str).astype(object)
    elif name == "weekday":
        texts = np.array(WEEKDAYS, object)[(time // DAY + 3) % 7]  # 1970 began on a Thursday
    else:
        texts = (time.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64) % 12 + 1).astype(str)
        texts = texts.astype(object)
    texts[time < 0] = ""
    return np.asarray(texts, object)


def check_context(
    values: Mapping[str, object], columns: Collection[str], *, times: Sequence[str] = TIME_NAMES
) -> dict[str, str]:
    """Check what a request says of its context.

    Args:
        values: Name -> value.
        columns: The context columns of the data.
        times: Names of context of a time that are legal, too; none for an event, which has a time of its own.

    Returns:
        The values as texts.

    Raises:
        DataError: A name is neither of a time nor of the data.
    """
    known = (*times, *columns)
    for name in values:
        if name not in known:
            raise DataError(
                f"context: {name!r} is not known{nearest(name, known)}; there are {', '.join(known) or 'none'} "
                "(columns of the data are named by columns: {context: [...]})"
            )
    return {name: str(value) for name, value in values.items()}
