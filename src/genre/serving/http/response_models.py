"""The JSON of answers; lists and evidence are those of `genre.serving.requests`. Knows no request."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field


class Problem(BaseModel):
    """Every answer that is not a success: a word for programs, a line for people."""

    error: str
    detail: str


class PromotedArm(BaseModel):
    """An experiment that was stopped, the arm whose copy went live, and the run whose place it took."""

    experiment: str
    promoted: str
    over: str


class RecordedCounts(BaseModel):
    """How many events of a request were new, and how many had been recorded before."""

    recorded: int
    duplicates: int


class StoredItem(BaseModel):
    """An item that was added or changed."""

    item_id: str
    recommendable: Annotated[dict[str, bool], Field(description="by run: whether it can be recommended from now on")]


class DeletedUser(BaseModel):
    """A user who was erased, and how many events there were."""

    user_id: str
    events: int
    left: Annotated[list[str], Field(description="what files still keep of the user, and until when")]


class CatalogueItem(BaseModel):
    """An item and its fields."""

    item_id: str
    title: str
    fields: dict[str, Any]
    picture: Annotated[str | None, Field(description="address of a small picture, below that of the service")] = None


class ItemsFound(BaseModel):
    """Items that a search found, best first."""

    items: list[CatalogueItem]


class FilterField(BaseModel):
    """A field that lists can be filtered by: its values with numbers of items, or its smallest and largest value."""

    field: str
    kind: Annotated[str, Field(description="category, name, number or day")]
    about: Annotated[str, Field(description="what its name says: price, genre, day, maker, ...; empty: nothing")]
    n_values: int | None = None
    values: dict[str, int] | None = None
    min: float | str | None = None
    max: float | str | None = None


class FilterFields(BaseModel):
    """The fields that lists can be filtered by."""

    filters: list[FilterField]


class UserIds(BaseModel):
    """Ids of users."""

    users: list[str]


class HistoryItem(CatalogueItem):
    """An item of a history, and how strong the interaction was."""

    weight: float


class UserHistory(BaseModel):
    """A user's history, oldest first; `fallback` says why recent events may be missing, or null."""

    user_id: str
    run: str
    history: list[HistoryItem]
    fallback: str | None = None
