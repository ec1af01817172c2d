"""The JSON of requests, typed and bounded; what does not fit is refused before it reaches the service."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    FiniteFloat,
    Strict,
    StrictBool,
    StringConstraints,
    Tag,
    field_validator,
    model_validator,
)

from genre.config.serving_options import Guardrails, OnlineExperiment
from genre.data.durations import DAY
from genre.data.event_kinds import RATE, SHOW
from genre.data.item_fields import Filter
from genre.errors import DataError
from genre.options import DEFAULT_K, Renamed, new_names
from genre.recommenders.phrasebook import Language
from genre.rules.base import parse_where, read_rules
from genre.serving.events.store import Event
from genre.serving.requests import ListRequest


def _number_as_text(value: Any) -> Any:
    return str(value) if type(value) is int else value


def _not_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number, not true or false")
    return value


def split_names(names: str) -> tuple[str, ...]:
    """Split names with commas between them.

    Args:
        names: such as `title, year`.

    Returns:
        The names, without spaces around them.
    """
    return tuple(name for part in names.split(",") if (name := part.strip()))


def split_context(text: str) -> dict[str, str]:
    """Split circumstances of a request with commas between them.

    Args:
        text: such as `device=phone, hour=21`.

    Returns:
        Name -> value.

    Raises:
        ValueError: A name is given twice.
    """
    found: dict[str, str] = {}
    for part in split_names(text):
        name, _, value = (one.strip() for one in part.partition("="))
        if name in found:
            raise ValueError(f"{name!r} is given twice; give each name once: device=phone,hour=21")
        found[name] = value
    return found


def _context_text(text: str) -> str:
    split_context(text)
    return text


_NUMBER = BeforeValidator(_not_bool)
_TEXT = StringConstraints(min_length=1, max_length=512, pattern=r"^[^\x00-\x1f\x7f]+$")
Id = Annotated[str, BeforeValidator(_number_as_text, json_schema_input_type=Annotated[str, _TEXT] | int), _TEXT]
"""An id as callers know it: text without control characters; a whole number is read as its digits."""
PathId = Annotated[str, _TEXT]
Ids = Annotated[list[Id], Field(max_length=1000)]
ManyIds = Annotated[list[Id], Field(max_length=10_000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
RunName = Annotated[Name | None, Field(description="a run that is served; without it, the user's id decides")]
RecommenderName = Annotated[Name | None, Field(description="of the run; without it, its best on validation")]
History = Annotated[Ids | None, Field(description="item ids, oldest first, instead of the user's own history")]
Words = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
K = Annotated[int, Field(ge=1, le=1000), _NUMBER]
FieldNames = Annotated[str, Field(max_length=1000, description="item fields to answer with, commas between")]
ReasonLanguage = Annotated[
    Language, Field(description="language of reasons, and of rules that could not be kept: en, or zh for Chinese")
]
ContextText = Annotated[
    str,
    Field(
        max_length=1000,
        pattern=r"^$|^[^=,]+=[^=,]+(,[^=,]+=[^=,]+)*$",
        description="circumstances of the request, commas between: device=phone,hour=21",
    ),
    AfterValidator(_context_text),
]
ContextBody = Annotated[
    dict[Name, Id], Field(max_length=20, description="circumstances of the request, such as a device, or the hour")
]
Weight = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False), _NUMBER]
Timestamp = Annotated[int, Field(ge=1, le=4_102_444_800), _NUMBER]
Position = Annotated[int, Field(ge=1, le=1000), _NUMBER]
Value = Annotated[float, Field(ge=-1e12, le=1e12, allow_inf_nan=False), _NUMBER]
EventKind = Annotated[
    Name | None,
    Field(description="what the user did: show, click, view, cart, buy, play, skip, like, dislike, rate, ..."),
]
RecommendationId = Annotated[Id | None, Field(description="the list that led to it, as its answer names it")]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), _NUMBER]
Text = Annotated[str, StringConstraints(max_length=20_000)]
Number = Annotated[int, Strict()] | Annotated[float, Strict(), Field(allow_inf_nan=False)]


def _json_type(value: Any) -> str | None:
    """Return the type of a value: it is checked as that alone, so that an error speaks of that alone."""
    kinds = {str: "text", bool: "truth", int: "number", float: "number", list: "list", type(None): "null"}
    return "object" if isinstance(value, (dict, BaseModel)) else kinds.get(type(value))


def _one_of(wanted: str) -> Discriminator:
    return Discriminator(_json_type, custom_error_type="kind", custom_error_message=f"{wanted} is wanted")


FieldValue = Annotated[
    Annotated[Text, Tag("text")]
    | Annotated[StrictBool, Tag("truth")]
    | Annotated[Number, Tag("number")]
    | Annotated[None, Tag("null")]
    | Annotated[list[Text], Field(max_length=200), Tag("list")],
    _one_of("text, a number, true, false, null or a list of text"),
]


class Body(BaseModel):
    """Base of all bodies: refuses names that it does not have."""

    model_config = ConfigDict(extra="forbid")


class RangeBody(Body):
    """A number between `min` and `max`, ends included; either may be left out."""

    min: Annotated[FiniteFloat, _NUMBER] | None = None
    max: Annotated[FiniteFloat, _NUMBER] | None = None


Condition = Annotated[
    Annotated[RangeBody, Tag("object")]
    | Annotated[list[Name | int], Field(min_length=1, max_length=1000), Tag("list")]
    | Annotated[Name, Tag("text")],
    _one_of("a value, a list of values or {min, max}"),
]
FilterBody = Annotated[dict[Name, Condition], Field(max_length=20)]


class RecommendOptions(Body):
    """What all requests for recommendations share."""

    k: Annotated[K, Field(description="length of the list")] = DEFAULT_K
    run: RunName = None
    recommender: RecommenderName = None
    exclude_seen: Annotated[bool, Field(description="leave out items of the history")] = True
    novelty: Annotated[Share, Field(description="0 to 1: prefer items that few users know")] = 0.0
    diversity: Annotated[Share, Renamed("explore"), Field(description="0 to 1: prefer items unlike each other")] = 0.0

    record: Annotated[bool, Field(description="whether the list is sent to a user and counts as shown")] = True
    language: ReasonLanguage = "en"
    recommendation_id: Annotated[
        Id | None, Field(description="your own id of the list; of a request that is sent again, it counts once")
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _refuse_old_names(cls, given: Any) -> Any:
        for old, new in new_names(cls).items():
            if isinstance(given, dict) and old in given:
                raise ValueError(f"`{old}` is called `{new}` now")
        return given


class RecommendQuery(RecommendOptions):
    """What to recommend to the user in the path."""

    fields: FieldNames = ""
    context: ContextText = ""

    def to_request(self) -> ListRequest:
        """Convert to what the service takes.

        Returns:
            A request without a user.
        """
        made = {"fields": split_names(self.fields), "context": tuple(split_context(self.context).items())}
        return ListRequest(**{**dict(self), **made})


class RecommendBody(RecommendOptions):
    """What to recommend: for `user_id`, for a `history`, for words (`ask`), or for these together."""

    user_id: Id | None = None
    history: History = None
    ask: Annotated[Words | None, Field(description="what to look for, in words")] = None
    include: Annotated[ManyIds | None, Field(description="only these items")] = None
    exclude: Annotated[ManyIds, Field(description="none of these items")] = []
    filter: Annotated[FilterBody, Field(description="field -> a value, a list of values, or {min, max}")] = {}
    fields: Annotated[list[Name], Field(max_length=50, description="item fields to answer with")] = []
    rules: Annotated[list[dict[str, Any]], Field(max_length=20, description="rules beside those of the run")] = []
    context: ContextBody = {}

    def to_request(self) -> ListRequest:
        """Convert to what the service takes.

        Returns:
            The request.

        Raises:
            OptionError: If a rule is none.
        """
        given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in self}
        made = {
            "filter": _to_filter(self.filter),
            "rules": read_rules(self.rules),
            "context": tuple(self.context.items()),
        }
        return ListRequest(words=given.pop("ask"), **{**given, **made})


def _to_filter(given: FilterBody) -> Filter:
    return parse_where({name: dict(value) if isinstance(value, RangeBody) else value for name, value in given.items()})


class UserPath(BaseModel):
    """The user in the path."""

    user_id: PathId


class ExplainBody(Body):
    """Which item to explain, for a user, for a history, or for the words (`ask`) it was found by."""

    item_id: Id
    user_id: Id | None = None
    history: History = None
    ask: Annotated[Words | None, Field(description="words that the item was found by")] = None
    run: RunName = None
    recommender: RecommenderName = None
    language: ReasonLanguage = "en"
    context: ContextBody = {}


class EventBody(Body):
    """A user interacted with an item, or saw it (`show`)."""

    user_id: Id
    item_id: Id
    kind: EventKind = None
    weight: Annotated[Weight, Field(description="strength, for an event without a kind; 0: not liked")] = 1.0
    recommendation_id: RecommendationId = None
    position: Annotated[Position | None, Field(description="place of the item in that list, from 1")] = None
    value: Annotated[Value | None, Field(description="what it is worth, such as a price; of `rate`, the stars")] = None
    timestamp: Annotated[Timestamp | None, Field(description="seconds since 1970; without it: now")] = None
    context: Annotated[
        dict[Name, Id], Field(max_length=20, description="circumstances, such as a device: context columns of the data")
    ] = {}
    event_id: Annotated[
        Id | None, Field(description="an event of an id that was recorded of this user is not counted again")
    ] = None

    @field_validator("timestamp")
    @classmethod
    def _not_in_the_future(cls, value: int | None) -> int | None:
        if value is not None and value > time.time() + DAY:
            raise ValueError("is in the future; give seconds since 1970")
        return value

    @model_validator(mode="after")
    def _of_one_meaning(self) -> EventBody:
        if self.kind is not None and "weight" in self.model_fields_set:
            raise ValueError("the kind says what an event weighs; leave `weight` out")
        if self.kind == RATE and self.value is None:
            raise ValueError("an event of kind `rate` needs `value`, the stars")
        if self.kind == SHOW and None in (self.recommendation_id, self.position):
            raise ValueError(
                "an event of kind `show` needs `recommendation_id` and `position`: what was seen, and where"
            )
        return self

    def to_event(self) -> Event:
        """Convert to what the service takes.

        Returns:
            The event; timestamp 0 stands for now.
        """
        return Event(
            self.user_id,
            self.item_id,
            self.weight,
            self.timestamp or 0,
            self.event_id,
            kind=self.kind,
            recommendation_id=self.recommendation_id,
            position=self.position,
            value=self.value,
            context=tuple(self.context.items()),
        )


EventsBody = Annotated[
    Annotated[EventBody, Tag("object")] | Annotated[list[EventBody], Field(min_length=1, max_length=1000), Tag("list")],
    _one_of("an event or a list of events"),
]
ItemBody = Annotated[dict[Name, FieldValue], Field(min_length=1, max_length=50)]
"""The fields of an item by name: text, numbers, or lists of text."""


class GuardrailsBody(Body):
    """How much worse than the first arm another one may get; what is left out is as in a config."""

    fallbacks: Share | None = None
    empty: Share | None = None
    seconds: Annotated[float, Field(ge=1, le=1000, allow_inf_nan=False), _NUMBER] | None = None
    coverage: Share | None = None


class ExperimentBody(Body):
    """An experiment between runs that are served; what is left out is as in a config."""

    name: Annotated[Name, Field(description="with another name users are assigned anew")]
    arms: Annotated[
        dict[Name, Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False), _NUMBER]],
        Field(min_length=2, max_length=20, description="share of the users by run; the first is the one compared with"),
    ]
    outcome: Annotated[Name | None, Field(description="the kind of event that counts, 1 or 0 a user")] = None
    days: Annotated[float, Field(gt=0, le=3650, allow_inf_nan=False), _NUMBER] | None = None
    planned: Annotated[int, Field(ge=100, le=1_000_000_000), _NUMBER] | None = None
    start: Annotated[Name | None, Field(description="such as 2026-12-01 or 2026-12-01T08:00, UTC; null: now")] = None
    end: Annotated[Name | None, Field(description="null: when it is stopped")] = None
    guardrails: GuardrailsBody = GuardrailsBody()

    def to_experiment(self) -> OnlineExperiment:
        """Make the experiment.

        Returns:
            The experiment.

        Raises:
            OptionError: For a time that is none, or an end that is not after the start.
        """
        given = self.model_dump(exclude_none=True)
        return OnlineExperiment(**{**given, "guardrails": Guardrails(**given["guardrails"])})


def first_repeated(names: Sequence[str]) -> str | None:
    """Return the first name that was there before, of which all but the last would be ignored.

    Args:
        names: Names in order, such as the keys of a JSON object.

    Returns:
        The name, or None.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def distinct_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of JSON, as `object_pairs_hook` of `json.loads`.

    Args:
        pairs: Its keys and values.

    Returns:
        The object.

    Raises:
        DataError: If a key is given twice, of which all but the last would be ignored.
    """
    made = dict(pairs)
    if len(made) < len(pairs):
        repeated = str(first_repeated([name for name, _ in pairs]))
        raise DataError(f"the key {repeated[:100]!r} more than once in one object")
    return made
