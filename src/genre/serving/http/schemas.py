"""What comes in over HTTP, typed and bounded: everything else is refused before anybody looks at it."""

from __future__ import annotations

import time
from typing import Annotated, Any

from pydantic import (
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

from genre.options import DEFAULT_K
from genre.serving.events.store import Event
from genre.serving.requests import ListRequest
from genre.serving.search.catalogue import Between, Filter, OneOf

DAY = 86_400
RENAMED = {"explore": "diversity"}


def _number_as_text(value: Any) -> Any:
    return str(value) if type(value) is int else value


def _no_truth(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number, not true or false")
    return value


_NUMBER = BeforeValidator(_no_truth)
_TEXT = StringConstraints(min_length=1, max_length=512, pattern=r"^[^\x00-\x1f\x7f]+$")
Id = Annotated[str, BeforeValidator(_number_as_text, json_schema_input_type=Annotated[str, _TEXT] | int), _TEXT]
"""An outside id: text without control characters; a whole number is taken as its digits."""
SLASH = "\ufdd0"
"""Stands for a `/` that was sent as `%2F`, so that an id with one in it is one part of the path. No character at all:
Unicode keeps it for such uses, and text never has it."""
PathId = Annotated[
    Id, BeforeValidator(lambda value: value.replace(SLASH, "/"), json_schema_input_type=Annotated[str, _TEXT])
]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
PathName = Annotated[Name, BeforeValidator(lambda value: value.replace(SLASH, "/"), json_schema_input_type=Name)]
Words = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
K = Annotated[int, Field(ge=1, le=1000), _NUMBER]
FieldNames = Annotated[str, Field(max_length=1000, description="item fields to answer with, commas between")]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), _NUMBER]
Text = Annotated[str, StringConstraints(max_length=20_000)]
Number = Annotated[int, Strict()] | Annotated[float, Strict(), Field(allow_inf_nan=False)]


def _kind(value: Any) -> str | None:
    """What a value looks like: it is checked as that, and what is wrong is said of that alone."""
    kinds = {str: "text", bool: "truth", int: "number", float: "number", list: "list", type(None): "null"}
    return "object" if isinstance(value, (dict, BaseModel)) else kinds.get(type(value))


def _one_of(wanted: str) -> Discriminator:
    return Discriminator(_kind, custom_error_type="kind", custom_error_message=f"{wanted} is wanted")


FieldValue = Annotated[
    Annotated[Text, Tag("text")]
    | Annotated[StrictBool, Tag("truth")]
    | Annotated[Number, Tag("number")]
    | Annotated[None, Tag("null")]
    | Annotated[list[Text], Field(max_length=200), Tag("list")],
    _one_of("text, a number, true, false, null or a list of text"),
]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RangeBody(Body):
    """A number between `min` and `max`, ends included; either may be left out."""

    min: Annotated[FiniteFloat, _NUMBER] | None = None
    max: Annotated[FiniteFloat, _NUMBER] | None = None


Wanted = Annotated[
    Annotated[RangeBody, Tag("object")]
    | Annotated[list[Name | int], Field(min_length=1, max_length=1000), Tag("list")]
    | Annotated[Name, Tag("text")],
    _one_of("a value, a list of values or {min, max}"),
]
FilterBody = Annotated[dict[Name, Wanted], Field(max_length=20)]


class ListBody(Body):
    """Base of what a list is requested with; refuses names of earlier releases with the new ones."""

    @model_validator(mode="before")
    @classmethod
    def new_names(cls, given: Any) -> Any:
        for old, new in RENAMED.items():
            if isinstance(given, dict) and old in given:
                raise ValueError(f"`{old}` is called `{new}` now")
        return given


class AskBody(ListBody):
    """What somebody wants recommended: for `user_id`, for a `history`, for words (`ask`), or together."""

    user_id: Id | None = None
    history: Annotated[list[Id], Field(max_length=1000)] | None = None
    ask: Words | None = None
    k: K = DEFAULT_K
    run: Name | None = None
    recommender: Name | None = None
    include: Annotated[list[Id], Field(max_length=10_000)] | None = None
    exclude: Annotated[list[Id], Field(max_length=10_000)] = []
    filter: FilterBody = {}
    exclude_seen: bool = True
    novelty: Share = 0.0
    diversity: Share = 0.0
    fields: Annotated[list[Name], Field(max_length=50)] = []

    def to_ask(self) -> ListRequest:
        return ListRequest(
            user_id=self.user_id,
            history=None if self.history is None else tuple(self.history),
            words=self.ask,
            k=self.k,
            run=self.run,
            recommender=self.recommender,
            include=None if self.include is None else tuple(self.include),
            exclude=tuple(self.exclude),
            filter=to_filter(self.filter),
            exclude_seen=self.exclude_seen,
            novelty=self.novelty,
            diversity=self.diversity,
            fields=tuple(self.fields),
        )


def to_filter(given: FilterBody) -> Filter:
    return frozenset((name, _wanted(value)) for name, value in given.items())


def _wanted(value: RangeBody | list[str | int] | str) -> OneOf | Between:
    if isinstance(value, RangeBody):
        return Between(value.min, value.max)
    return OneOf(frozenset(str(one).casefold() for one in (value if isinstance(value, list) else [value])))


class UserPath(BaseModel):
    user_id: PathId


class AskQuery(ListBody):
    """What to recommend to the user in the path."""

    k: K = DEFAULT_K
    run: Name | None = None
    recommender: Name | None = None
    exclude_seen: bool = True
    novelty: Share = 0.0
    diversity: Share = 0.0
    fields: FieldNames = ""

    def to_ask(self) -> ListRequest:
        return ListRequest(
            k=self.k,
            run=self.run,
            recommender=self.recommender,
            exclude_seen=self.exclude_seen,
            novelty=self.novelty,
            diversity=self.diversity,
            fields=to_names(self.fields),
        )


def to_names(fields: str) -> tuple[str, ...]:
    return tuple(name for part in fields.split(",") if (name := part.strip())) if fields else ()


class ExplainBody(Body):
    """Which item to explain, for a user or for a history, and for the words (`ask`) it was found by."""

    item_id: Id
    user_id: Id | None = None
    history: Annotated[list[Id], Field(max_length=1000)] | None = None
    ask: Words | None = None
    run: Name | None = None
    recommender: Name | None = None


class EventBody(Body):
    """A user met an item. `weight` is the strength, 0 = seen but not liked; without `timestamp` it was now."""

    user_id: Id
    item_id: Id
    weight: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False), _NUMBER] = 1.0
    timestamp: Annotated[int, Field(ge=1, le=4_102_444_800), _NUMBER] | None = None
    event_id: Id | None = None

    @field_validator("timestamp")
    @classmethod
    def not_to_come(cls, value: int | None) -> int | None:
        if value is not None and value > time.time() + DAY:
            raise ValueError("lies in the future; give seconds since 1970")
        return value

    def to_event(self) -> Event:
        return Event(self.user_id, self.item_id, self.weight, self.timestamp or 0, self.event_id)


Events = Annotated[
    Annotated[EventBody, Tag("object")] | Annotated[list[EventBody], Field(min_length=1, max_length=1000), Tag("list")],
    _one_of("an event or a list of events"),
]
ItemBody = Annotated[dict[Name, FieldValue], Field(min_length=1, max_length=50)]
"""The fields of an item by name: text, numbers, or lists of text."""


class Problem(BaseModel):
    """Every answer that is not a success: a word for programs, a line for people."""

    error: str
    detail: str


class Recorded(BaseModel):
    recorded: int
    duplicates: int


class Stored(BaseModel):
    """recommendable: by run, whether the item can be recommended from now on."""

    item_id: str
    recommendable: dict[str, bool]


class Erased(BaseModel):
    user_id: str
    events: int


class Listed(BaseModel):
    """An item and what is known of it."""

    item_id: str
    title: str
    fields: dict[str, Any]


class Found(BaseModel):
    items: list[Listed]


class Known(BaseModel):
    users: list[str]


class Met(Listed):
    weight: float


class UserHistory(BaseModel):
    user_id: str
    run: str
    history: list[Met]
