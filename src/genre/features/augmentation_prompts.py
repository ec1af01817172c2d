"""The questions that augmentation asks of a language model, and what a usable answer to each is.

Built from the train part and from listed columns only. Knows nothing about who answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, create_model

from genre.arrays import Int64
from genre.data.dataset import Dataset
from genre.data.words import COMMON_WORDS, title_key, words
from genre.errors import ConfigError
from genre.features.base import digest_texts
from genre.llm.domains import DEFAULT_DOMAIN, Domain, column_texts, load_domain, sent_fields
from genre.llm.grounding import invented, is_repetitive, is_written_in
from genre.llm.prompt import Prompt, Value, load_prompt
from genre.options import Ge, check_options

PROMPTS = ("item_summary", "user_profile", "next_item")
LINE_LENGTH = 160  # characters of an item in somebody's history
SEPARATOR = " — "  # between the title and the rest of a line
LONGEST = 300  # characters of a sentence that comes back
FEWEST_WORDS = 5  # of a sentence
Language = Literal["English", "Dutch", "French", "Italian", "Portuguese", "Spanish", "Swedish"]


@dataclass(frozen=True)
class Augmentation:
    """What to ask for, and what may be told.

    item_fields: columns of the items' table that may be sent, the title first; nothing else leaves the machine.
    domain: films, music, news, shop, social, or a YAML file of your own.
    language: the texts are written in; those whose answers can be checked for what is invented: in others names do not
        stand out by a capital.
    summaries: one sentence and topics an item. profiles: one sentence and topics a user.
    synthetic: an invented next item for short histories, from the history, or (the chain) from the profile as well, or
        one of each.
    max_items, max_users: the most popular items, the most active users first (with `synthetic`: of those with a short
        history); None: all. max_invented: those of them who get an invented item; None: max_users.
    short_history: most interactions of a user who gets an invented item. history_length: newest ones that are told.
    repair: an answer that does not pass is asked for once more, with what was wrong.
    prompts: folder with an item_summary.md, user_profile.md or next_item.md of your own; None: the built-in ones.
    """

    item_fields: tuple[str, ...]
    domain: str = DEFAULT_DOMAIN
    language: Language = "English"
    summaries: bool = True
    profiles: bool = False
    synthetic: Literal["none", "history", "profile", "both"] = "none"
    max_items: Annotated[int, Ge(1)] | None = None
    max_users: Annotated[int, Ge(1)] | None = None
    max_invented: Annotated[int, Ge(1)] | None = None
    short_history: Annotated[int, Ge(1)] = 10
    history_length: Annotated[int, Ge(1)] = 15
    repair: bool = True
    prompts: Path | None = None

    def __post_init__(self) -> None:
        check_options(self)
        load_domain(self.domain)

    def prompt(self, name: str) -> Prompt:
        """The prompt of a step: your own where there is one."""
        if self.prompts is None:
            return load_prompt(name)
        if not self.prompts.is_dir():
            raise ConfigError(f"augmentation.prompts: {self.prompts} is no folder; make it, or leave prompts out")
        own = self.prompts / f"{name}.md"
        return load_prompt(name, own) if own.is_file() else load_prompt(name)

    def fingerprint(self) -> str:
        """Of all that shapes a question: options, wording, and the text of the prompts."""
        asked = {**asdict(self), "prompts": {name: self.prompt(name).hash for name in PROMPTS}}
        return digest_texts([str(asked), str(load_domain(self.domain)), load_prompt("repair").hash])

    def wording(self) -> dict[str, Value]:
        """The variables of a prompt that are the same for every item and user."""
        domain = load_domain(self.domain)
        return {**domain.wording(), "language": self.language}


@dataclass(frozen=True)
class PromptBatch:
    """One step, ready to be asked: `values[j]` are the prompt's variables for row `rows[j]` of items or users.

    shape: what an answer must look like. check: `(position, answer)` -> what is wrong, or nothing.
    columns: name of a column of the table -> the text an answer puts there, the main one first.
    matched: the column for the catalogue's item that is most like an answer; empty: none is looked for.
    """

    prompt: Prompt
    rows: Int64
    values: list[dict[str, Value]]
    shape: type[BaseModel]
    check: Callable[[int, Any], str]
    columns: Mapping[str, Callable[[Any], str]]
    matched: str = ""

    def inputs(self) -> list[str]:
        """The rendered prompts."""
        return [self.prompt.render(**one) for one in self.values]


def summary_prompts(train: Dataset, options: Augmentation) -> PromptBatch:
    """One sentence and topics for each item that has any text."""
    domain = load_domain(options.domain)
    lines = sent_fields(train.items, options.item_fields)
    rows = np.array([row for row in _most_popular(train, options.max_items) if lines[row]], np.int64)
    facts = [lines[row] for row in rows]
    opening = domain.summary if options.language == "English" else ""
    wording = {**_only(options.wording(), "item", "language"), "opening": opening}
    topics = [_rotated(domain.topics, row) for row in rows]

    def check(at: int, answer: Any) -> str:
        title, *others = facts[at]
        return (
            _problem(answer.summary, [*facts[at], *domain.topics], options.language)
            or _silent(answer.summary, [*others, *domain.topics], [title, opening, *domain.wording().values()])
            or _first_ones(answer.topics, topics[at])
        )

    values: list[dict[str, Value]] = [
        {**wording, "fields": fields, "topics": ", ".join(order)} for fields, order in zip(facts, topics, strict=True)
    ]
    shape = _shape("Summary", domain, 3, summary=_sentence(opening))
    columns = {"summary": lambda answer: answer.summary, "topics": _topics}
    return PromptBatch(options.prompt("item_summary"), rows, values, shape, check, columns)


def profile_prompts(train: Dataset, options: Augmentation) -> PromptBatch:
    """One sentence and topics for each user who liked anything in the train part."""
    domain = load_domain(options.domain)
    histories = liked_lines(train, options)
    rows = np.array([row for row in _users(train, options) if histories[row]], np.int64)[: options.max_users]
    facts = [histories[row] for row in rows]
    opening = domain.profile if options.language == "English" else ""
    wording = {**_only(options.wording(), "items", "person", "took", "language"), "opening": opening}
    topics = [_rotated(domain.topics, row) for row in rows]

    def check(at: int, answer: Any) -> str:
        beside = [line.partition(SEPARATOR)[2] for line in facts[at]]  # to name a title is not to say what is liked
        evidence = [*beside, opening, *domain.topics, *domain.wording().values()]
        return (
            _problem(answer.profile, evidence, options.language)
            or _silent(answer.profile, [*beside, *domain.topics], [opening, *domain.wording().values()])
            or _first_ones(answer.topics, topics[at])
        )

    values: list[dict[str, Value]] = [
        {**wording, "history": history, "topics": ", ".join(order)}
        for history, order in zip(facts, topics, strict=True)
    ]
    shape = _shape("Profile", domain, 5, profile=_sentence(opening))
    columns = {"profile": lambda answer: answer.profile, "interests": _topics}
    return PromptBatch(options.prompt("user_profile"), rows, values, shape, check, columns)


def next_item_prompts(train: Dataset, options: Augmentation) -> PromptBatch:
    """An invented next item for each user whose history is short but not empty."""
    return _inventions(train, options, [""] * train.n_users, "synthetic")


def chained_item_prompts(train: Dataset, options: Augmentation) -> PromptBatch:
    """The same, with the user's profile told before the history."""
    return _inventions(train, options, column_texts(train.users, "profile"), "synthetic_chained")


def _inventions(train: Dataset, options: Augmentation, profiles: list[str], name: str) -> PromptBatch:
    domain = load_domain(options.domain)
    histories = liked_lines(train, options)
    short = _lengths(train) <= options.short_history
    rows = np.array([row for row in _users(train, options) if short[row] and histories[row]], np.int64)
    rows = rows[: options.max_invented or options.max_users]
    facts = [histories[row] for row in rows]

    def check(at: int, answer: Any) -> str:
        if any(title_key(answer.title) == title_key(line.partition(SEPARATOR)[0]) for line in facts[at]):
            return "the title is in the list already"
        return _form_problem(answer.description, options.language) or _first_ones(answer.topics, topics[at])

    topics = [_rotated(domain.topics, row) for row in rows]
    values: list[dict[str, Value]] = [
        {**options.wording(), "history": facts[at], "profile": profiles[row], "topics": ", ".join(topics[at])}
        for at, row in enumerate(rows)
    ]
    shape = _shape("NextItem", domain, 3, title=_text(100), description=_text(LONGEST))
    columns = {f"{name}_text": lambda answer: f"{answer.title}: {answer.description} {_topics(answer)}"}
    return PromptBatch(options.prompt("next_item"), rows, values, shape, check, columns, f"{name}_item")


def liked_lines(train: Dataset, options: Augmentation) -> list[list[str]]:
    """For each user the newest liked items as lines of text, oldest first."""
    title, *others = options.item_fields
    known = [name for name in ("summary", "topics") if name in train.items.column_names]
    texts = sent_fields(train.items, (title, *(known or others)), labels=False)
    lines = [SEPARATOR.join(fields)[:LINE_LENGTH] for fields in texts]
    history = train.history()
    history = history.keep(history.weight > 0).last(options.history_length)
    return [
        [lines[item] for item in history.item[start:end] if lines[item]]
        for start, end in zip(history.indptr[:-1], history.indptr[1:], strict=True)
    ]


def _most_popular(train: Dataset, most: int | None) -> Int64:
    return np.argsort(-np.bincount(train.item, minlength=train.n_items), kind="stable")[:most]


def _users(train: Dataset, options: Augmentation) -> Int64:
    """All users, the most active first; where items are invented, those with a short history before the others."""
    lengths = _lengths(train)
    long = (lengths > options.short_history) & (options.synthetic != "none")
    return np.lexsort((-lengths, long))


def _lengths(train: Dataset) -> Int64:
    return np.bincount(train.user, minlength=train.n_users)


def _topics(answer: Any) -> str:
    return ", ".join(dict.fromkeys(answer.topics))


def _only(values: dict[str, Value], *names: str) -> dict[str, Value]:
    return {name: values[name] for name in names}


def _rotated(topics: Sequence[str], row: int) -> list[str]:
    """The list from another starting point for each row: a model that takes the first ones is seen to do so."""
    start = int(row) * 7 % len(topics)
    return [*topics[start:], *topics[:start]]


def _first_ones(chosen: Sequence[str], offered: Sequence[str]) -> str:
    several = len(chosen) > 1 and list(chosen) == list(offered[: len(chosen)])
    return "the topics are simply the first ones of the list; choose those that fit" if several else ""


def _problem(text: str, evidence: Sequence[str], language: str) -> str:
    """What is wrong with a text that may only say what its evidence says."""
    wrong = _form_problem(text, language)
    if wrong:
        return wrong
    new = invented(text, evidence, strict=False)
    return f"these are not in the data: {', '.join(new[:5])}" if new else ""


def _silent(text: str, told: Sequence[str], empty: Sequence[str]) -> str:
    """Whether a text has no word of what was told: `the user enjoys the film` is true of everybody.

    empty: texts whose words say nothing, such as the title and the words of the domain.
    """
    telling = {word for piece in told for word in words(piece)} - COMMON_WORDS
    telling -= {word for piece in empty for word in words(piece)}
    return "" if not telling or telling & set(words(text)) else "it says nothing that is in the data"


def _form_problem(text: str, language: str) -> str:
    """What is wrong with a text that should be one whole sentence."""
    if not is_written_in(text, language):
        return f"it is not in {language}"
    if is_repetitive(text):
        return "it goes round in circles"
    if len(text.split()) < FEWEST_WORDS:
        return "it is not a sentence"
    whole = len(text) < LONGEST and text.rstrip()[-2:-1] not in (" ", ",")
    return "" if whole else "it stops in the middle; be shorter"


def _text(most: int) -> Any:
    return Annotated[str, Field(min_length=3, max_length=most)]


def _sentence(opening: str) -> Any:
    """A sentence that begins in a given way: a small model that is left to begin by itself says nothing."""
    if not opening:
        return _text(LONGEST)
    body = LONGEST - len(opening) - 2
    return Annotated[str, Field(pattern=f'^{opening} [^"\\\\]{{3,{body}}}[.!?]$')]


def _shape(name: str, domain: Domain, most_topics: int, **texts: Any) -> type[BaseModel]:
    """A pydantic model of short texts (field -> type) and topics of the closed list."""
    fields: dict[str, Any] = {key: (text, ...) for key, text in texts.items()}
    topic: Any = Literal[domain.topics]
    fields["topics"] = (Annotated[list[topic], Field(min_length=1, max_length=most_topics)], ...)
    return create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
