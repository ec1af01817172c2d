"""Quantities in a sentence: `under two hours`, `at least 7 of 10`, `from the nineties`. Knows no items.

English alone. `read_quantities` first writes number words as digits and every length of time as minutes; what is left
is numbers with words of comparison before or behind them.
"""

from __future__ import annotations

import calendar
import datetime
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Bound = Literal["below", "most", "least", "above"]

NUMBERS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19,
}  # fmt: skip
TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
SCALES = {"hundred": 100, "thousand": 1000}
MONTHS = {name.lower(): n for n, name in enumerate(calendar.month_name) if name}
DECADES = {f"{word.removesuffix('y')}ies": tens for word, tens in TENS.items()}  # the nineties -> 90
CENTURY_BREAK = 30  # the twenties are those of 2020, the thirties those of 1930

_ONE_NUMBER = "|".join([*NUMBERS, *TENS, *SCALES])
_NUMBER_WORDS = re.compile(rf"\b(?:{_ONE_NUMBER})(?:(?:-|\s+(?:and\s+)?)(?:{_ONE_NUMBER}))*\b", re.I)
_COUNTED = re.compile(r"\s*-?\s*(?:hours?|hrs?|minutes?|mins?|stars?|hundred|thousand|point)\b", re.I)
_HOUR = r"(?:hours?|hrs?|h)\b"
_N = r"(\d+(?:\.\d+)?)"
_DURATIONS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], float]], ...] = (
    (
        re.compile(rf"\b(?:{_N}|an?|one)\s*-?\s*{_HOUR}\s*(?:and\s+)?(?:a\s+)?half\b", re.I),
        lambda m: 60 * _n(m[1]) + 30,
    ),
    (re.compile(r"\bhalf\s+(?:an?\s+)?hours?\b", re.I), lambda _: 30),
    (re.compile(r"\bthree[- ]quarters of an hour\b", re.I), lambda _: 45),
    (
        re.compile(
            rf"\b(?:{_N}|an?|one)\s*-?\s*(?:hours?|hrs?|h)\s*(?:and\s+)?(\d{{1,2}})(?:\s*(?:minutes?|mins?|m))?\b", re.I
        ),
        lambda m: 60 * _n(m[1]) + float(m[2]),
    ),
    (re.compile(r"\b(\d):([0-5]\d)\b(?:\s*h\w*)?", re.I), lambda m: 60 * float(m[1]) + float(m[2])),
    (re.compile(rf"\b(?:{_N}|an?|one)\s*-?\s*{_HOUR}", re.I), lambda m: 60 * _n(m[1])),
    (re.compile(rf"\b{_N}\s*-?\s*(?:minutes?|mins?|m)\b", re.I), lambda m: float(m[1])),
)  # fmt: skip

_NOT = (
    r"(?:\b(?:no|not|nothing|never|nor|without|avoid|avoiding|neither|cannot|hates?)\b|n['’]t\b)"
    r"(?:\s+(?:be|it|on|for|all|ever|is|are|any|anything|something|an?|films?|movies?|items?|ones?|"
    r"books?|things?|that|which|want|"
    r"to|go|"
    r"goes|runs?|like|take|last|lasting|rated|made|from|released|much|have|has|score|scores|scored|with|rating|"
    r"of))*\s+"
)
_COMPARE: tuple[tuple[Bound, str], ...] = (
    ("most", r"(?:on|in|at) or (?:before|below|under)|at (?:the )?(?:very )?most|up to|max(?:imum)?(?: of)?|within|"
             r"until|as (?:long|late|high) as|<=|≤|limit(?: is| of)?|"
             r"(?:capped|tops out) at|no (?:more|longer|later|higher|greater) than|(?:only )?(?:have|got)(?: about|"
             r" only)?|through"),
    ("least", r"(?:on|in|at) or (?:after|above|over)|at (?:the )?(?:very )?least|min(?:imum)?(?: of)?|since|"
              r"starting (?:at|from|in)|>=|≥|upwards? of|"
              r"no (?:less|fewer|lower|shorter|earlier|older) than"),
    ("below", r"under|below|less than|lower than|fewer than|shorter than|smaller than|cheaper than|"
              r"worse than|milder than|"
              r"before|earlier than|"
              r"older than|prior to|<"),
    ("above", r"over|above|more than|longer than|higher than|greater than|better than|stricter than|"
              r"bigger than|larger than|"
              r"after|later than|"
              r"newer than|exceed(?:s|ing)?|beyond|past|>"),
)  # fmt: skip
_BETWEEN_WORDS = (
    r"(?:\s+(?:an?|the|its?|average|rating|score|scores|scored|rated|age|year|of|about|around|is|are|early|late|"
    r"mid|at|"
    r"in|from))*\s*[$€£]?$"
)
_BEFORE = tuple(
    (bound, re.compile(rf"(?P<negated>{_NOT})?(?<![\w.])(?:{words}){_BETWEEN_WORDS}", re.I))
    for bound, words in _COMPARE
)
_BEHIND: tuple[tuple[Bound, re.Pattern[str]], ...] = (
    (
        "most",
        re.compile(
            r"\s*(?:(?:long|films?)\s+)?(?:(?:or|and) (?:less|under|below|shorter|fewer|lower|cheaper|earlier|older|"
            r"before|milder|smaller)\b|tops\b|max(?:imum)?\b|at (?:the )?most\b|is (?:the|my) (?:limit|max\w*)\b)",
            re.I,
        ),
    ),
    (
        "least",
        re.compile(
            r"\s*(?:(?:long|films?)\s+)?(?:\+|plus\b|(?:or|and) (?:more|higher|above|better|longer|over|later|"
            r"newer|up|"
            r"upwards?|after|greater|bigger|stricter)\b|at (?:the )?(?:very )?least\b|min(?:imum)?\b|onwards?\b|"
            r"on\b(?=[\s,.]*$))",
            re.I,
        ),
    ),
)  # fmt: skip
_OPPOSITE: dict[Bound, Bound] = {"below": "least", "above": "most", "most": "above", "least": "below"}
_ABOUT = re.compile(rf"(?:around|about|roughly|approximately|circa|ca\.?|~){_BETWEEN_WORDS}", re.I)
_BETWEEN = re.compile(r"\b(?:between|from)\s+(?:the\s+)?[$€£]?$", re.I)
_TO = re.compile(r"\s*(?:-|–|to|and|until|through)\s*(?:the\s+)?[$€£]?$", re.I)
_NEAR = 0.1  # `about 100` is 90 to 110

_MONTH = "|".join(MONTHS)
_MOMENT = re.compile(
    rf"\b(?:(?P<iso>(?:1[5-9]|20)\d\d-\d\d-\d\d)"
    rf"|(?:(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?)?(?P<month>{_MONTH})(?:\s+(?P<day2>\d{{1,2}})(?:st|nd|rd|"
    rf"th)?\b)?,?\s+"
    rf"(?P<monthyear>(?:1[5-9]|20)\d\d)"
    rf"|(?P<decade>(?:(?:1[5-9]|20)\d|\d)0)['’]?s\b|(?P<named>{'|'.join(DECADES)})"
    rf"|(?P<year>(?:1[5-9]|20)\d\d))(?![\w%]|\.\d|\s*(?:min|votes|pages|ratings|people)\b)",
    re.I,
)
_FIGURE = re.compile(
    r"(?<![\w.-])(?P<money>[$€£]\s?)?(?P<n>\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?)"
    r"(?P<unit>min\b|\s?/\s?(?:10|5)\b|\s?out of (?:10|5|ten|five)\b|[-\s]?stars?\b|\s?points?\b"
    r"|\s?(?:dollars|euros|pounds|usd|eur|€|\$|£)(?!\w))?(?![\w]|\.\d)"
)
_RATED = re.compile(r"\b(?:rat(?:ed|ing|ings)|scor(?:e|es|ed|ing)|stars?|review(?:s|ed)?)\b", re.I)
_WORD_BEHIND = re.compile(r"\s+([a-z]{3,})", re.I)


@dataclass(frozen=True)
class Quantity:
    """A quantity that a sentence speaks of.

    Attributes:
        unit: `minutes`, `date`, `money`, `rating`, or the word behind the number, or empty.
        low: Lower bound, of a date as its first day; None: none.
        high: Upper bound; None: none.
        compared: Whether a word of comparison says which bound it is; else both bounds are the number itself.
    """

    unit: str
    low: float | str | None
    high: float | str | None
    compared: bool = True


@dataclass(frozen=True)
class _Figure:
    """A number or a span of days, where it is in the text, and what it counts."""

    start: int
    end: int
    low: float | str
    high: float | str
    unit: str


def read_quantities(text: str) -> tuple[list[Quantity], str]:
    """Read the quantities of a sentence.

    Args:
        text: One sentence.

    Returns:
        The quantities in order, and the text with blanks in their place.
    """
    text = _with_minutes(_with_digits(text))
    quantities, blanked = [], list(text)
    figures, at = _figures(text), 0
    while at < len(figures):
        size, quantity, start, end = _read_one(text, figures, at)
        quantities.append(quantity)
        blanked[start:end] = " " * (end - start)
        at += size
    return quantities, "".join(blanked)


def compared(before: str, behind: str) -> tuple[Bound | None, int, int]:
    """Find words of comparison beside a value: `at most`, `nothing above`, `or higher`.

    Args:
        before: The text before the value.
        behind: The text behind it.

    Returns:
        The bound that the value is, None without such words; and how many characters of both texts say so.
    """
    for bound, pattern in _BEHIND:
        if found := pattern.match(behind):
            return bound, 0, found.end()
    for bound, pattern in _BEFORE:
        if found := pattern.search(before):
            return (_OPPOSITE[bound] if found["negated"] else bound), len(before) - found.start(), 0
    return None, 0, 0


def _read_one(text: str, figures: list[_Figure], at: int) -> tuple[int, Quantity, int, int]:
    """Read the quantity at a figure: how many figures it has, the quantity, its start and its end."""
    one = figures[at]
    start = figures[at - 1].end if at else 0
    before, behind = text[start : one.start], text[one.end :]
    other = figures[at + 1] if at + 1 < len(figures) else None
    cue = _BETWEEN.search(before)
    if other is not None and _is_range(text[one.end : other.start], one, other, begun=cue is not None):
        begin = start + cue.start() if cue else one.start
        return 2, Quantity(other.unit or one.unit, one.low, other.high), begin, other.end
    bound, n_before, n_behind = compared(before, behind)
    if bound is None:
        near = _ABOUT.search(before)
        low, high = (one.low, one.high) if near is None else _around(one)
        begin = one.start if near is None else start + near.start()
        return 1, Quantity(one.unit, low, high, compared=near is not None or one.unit == "date"), begin, one.end
    return 1, _bounded(one, bound), one.start - n_before, one.end + n_behind


def _is_range(joined: str, one: _Figure, other: _Figure, *, begun: bool) -> bool:
    """Tell whether two figures are the ends of a range; `begun`: the first follows `between` or `from`."""
    alike = isinstance(one.low, str) == isinstance(other.low, str) and (one.unit == other.unit or not one.unit)
    return alike and _TO.fullmatch(joined) is not None and (begun or "and" not in joined)


def _bounded(one: _Figure, bound: Bound) -> Quantity:
    """Return the quantity below, at most, at least or above a figure."""
    low: float | str | None = None
    high: float | str | None = None
    if bound == "most":
        high = one.high
    elif bound == "least":
        low = one.low
    elif bound == "below":
        high = _neighbour(one.low, -1)
    else:
        low = _neighbour(one.high, 1)
    return Quantity(one.unit, low, high)


def _neighbour(value: float | str, step: int) -> float | str:
    """Return the day beside a day, or the number just beside a number."""
    if isinstance(value, str):
        return (datetime.date.fromisoformat(value) + datetime.timedelta(step)).isoformat()
    return math.nextafter(value, math.inf * step)


def _around(one: _Figure) -> tuple[float | str, float | str]:
    if isinstance(one.low, str) or isinstance(one.high, str):
        return one.low, one.high
    return one.low * (1 - _NEAR), one.high * (1 + _NEAR)


def _figures(text: str) -> list[_Figure]:
    """Find dates and numbers, in order."""
    found = [_moment(match) for match in _MOMENT.finditer(text)]
    taken = [(one.start, one.end) for one in found]
    for match in _FIGURE.finditer(text):
        if not any(match.start() < end and start < match.end() for start, end in taken):
            number = float(match["n"].replace(",", ""))
            found.append(_Figure(match.start(), match.end(), number, number, _unit(text, match)))
    return sorted(found, key=lambda one: one.start)


def _unit(text: str, match: re.Match[str]) -> str:
    said = (match["unit"] or "").strip().lower()
    if said == "min":
        return "minutes"
    if match["money"] or (said[:2] in ("do", "eu", "po", "us", "€", "$", "£") and "point" not in said):
        return "money"
    if said or _RATED.search(text):
        return "rating"
    behind = _WORD_BEHIND.match(text[match.end() :])
    return behind[1].lower() if behind else ""


def _moment(match: re.Match[str]) -> _Figure:
    """Return the first and last day of a date, a month, a year or a decade."""
    if match["iso"]:
        first = last = match["iso"]
    elif match["month"]:
        year, month = int(match["monthyear"]), MONTHS[match["month"].lower()]
        day = match["day"] or match["day2"]
        days = (int(day), int(day)) if day else (1, calendar.monthrange(year, month)[1])
        first, last = (f"{year}-{month:02}-{one:02}" for one in days)
    elif match["year"]:
        first, last = f"{match['year']}-01-01", f"{match['year']}-12-31"
    else:
        decade = DECADES[match["named"].lower()] if match["named"] else int(match["decade"])
        if decade < 100:
            decade += 2000 if decade < CENTURY_BREAK else 1900
        first, last = f"{decade}-01-01", f"{decade + 9}-12-31"
    return _Figure(match.start(), match.end(), first, last, "date")


def _n(text: str | None) -> float:
    return 1.0 if text is None else float(text)


def _with_minutes(text: str) -> str:
    """Write each length of time as minutes: `1h30` -> `90min`."""
    for pattern, minutes in _DURATIONS:
        text = pattern.sub(lambda match, minutes=minutes: f"{minutes(match):g}min", text)  # type: ignore[misc]
    return text


def _with_digits(text: str) -> str:
    """Write number words as digits: `ninety` -> `90`, `seven point five` -> `7.5`, `six and a half` -> `6.5`."""

    def digits(match: re.Match[str]) -> str:
        words = [word for word in re.split(r"[\s-]+", match[0].lower()) if word != "and"]
        if words == ["one"] and not _COUNTED.match(text, match.end()):
            return match[0]
        return " ".join(map(str, _numbers_of(words)))

    text = _NUMBER_WORDS.sub(digits, text)
    text = re.sub(r"\b(\d+) point (\d+)\b", r"\1.\2", text, flags=re.I)
    return re.sub(r"\b(\d+) and a half\b", r"\1.5", text, flags=re.I)


def _numbers_of(words: list[str]) -> list[int]:
    """Return the numbers that a run of number words is: `nineteen ninety five` is 1995, `two three` are two."""
    numbers: list[int] = []
    for word, last in zip(words, [None, *words], strict=False):
        value = NUMBERS.get(word, TENS.get(word))
        if value is None:
            numbers = [*(numbers[:-1] if last else []), (numbers[-1] if last else 1) * SCALES[word]]
        elif last in SCALES or (last in TENS and 0 < value < 10):
            numbers[-1] += value
        elif last in NUMBERS and value >= 10 and 18 <= numbers[-1] <= 20:
            numbers[-1] = 100 * numbers[-1] + value
        else:
            numbers.append(value)
    return numbers
