"""The prompts of augmentation, filled from a dataset, and the checks that an answer to each has to pass.

Only the train part and the columns that the options list are used. Knows nothing about providers of language models.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, create_model

from genre.arrays import Int64
from genre.data.dataset import Dataset
from genre.data.titles import title_key
from genre.data.words import words
from genre.domains.packs import DEFAULT_DOMAIN, DomainName, Words, load_domain
from genre.errors import ConfigError, OptionError
from genre.features.base import digest_texts
from genre.features.prompt_batch import PromptBatch
from genre.llm.base import Schema
from genre.llm.grounding import CAPITALS, LONGEST, emptiness_problem, grounding_problem, sentence_problem
from genre.llm.neutral_words import neutral_words
from genre.llm.prompt import Prompt, Value, load_prompt, sanitize
from genre.llm.quote_forms import ended, kinds_form, sentence_form
from genre.llm.quotes import nearest_quote, read_quotes
from genre.llm.sent_fields import column_texts, sent_fields
from genre.options import Doc, Ge, check_options
from genre.package_files import is_package_file, package_file

PROMPTS = ("item_summary", "user_profile", "next_item")
LINE_LENGTH = 160  # characters of an item in a user's history
PROFILE_BEGINS = {"Chinese": "这位用户喜欢：", "Japanese": "このユーザーの好み："}
"""Of the sentences that a server may hold a model to, in languages whose domains have no beginning of their own."""
SEPARATOR = " — "  # between the title and the rest of a line
Language = Literal[
    "English", "German", "Dutch", "French", "Italian", "Portuguese", "Spanish", "Swedish", "Chinese", "Japanese"
]


@dataclass(frozen=True)
class Augmentation:
    """Options of augmentation: the texts that a language model writes, and the data that it may see."""

    item_fields: Annotated[
        tuple[str, ...],
        Doc("Columns of the items' table that may be sent, the title first; nothing else leaves the machine."),
    ]
    domain: DomainName = DEFAULT_DOMAIN
    language: Annotated[
        Language,
        Doc("Language of the texts, one whose sentences can be checked."),
    ] = "English"
    grounding: Annotated[
        Literal["words", "names"],
        Doc(
            "What a summary or profile may say. words: whole sentences and kinds of the data, its topics, and words "
            "of a closed list that say no fact; names: whatever brings no new name, number, title, advice or praise, "
            "so that false facts may pass (a language in which names alone begin with a capital)."
        ),
    ] = "words"
    summaries: Annotated[bool, Doc("Write one sentence and topics an item.")] = True
    profiles: Annotated[bool, Doc("Write one sentence and topics a user.")] = False
    synthetic: Annotated[
        Literal["none", "history", "profile", "both"],
        Doc("Invent a next item for users with a short history: from the history, from the profile as well, or both."),
    ] = "none"
    max_items: Annotated[Annotated[int, Ge(1)] | None, Doc("Only so many items, the most popular; None: all.")] = None
    max_users: Annotated[
        Annotated[int, Ge(1)] | None,
        Doc("Only so many users, the most active; with `synthetic` those with a short history first; None: all."),
    ] = None
    max_invented: Annotated[
        Annotated[int, Ge(1)] | None, Doc("Of these users only so many get an invented item; None: max_users.")
    ] = None
    short_history: Annotated[int, Ge(1), Doc("Most interactions of a user who gets an invented item.")] = 10
    history_length: Annotated[int, Ge(1), Doc("Newest liked items of a user that are sent.")] = 15
    repair: Annotated[bool, Doc("Request an answer that does not pass once more, with what is wrong with it.")] = True
    prompts: Annotated[
        Path | None,
        Doc(
            "Folder with your own item_summary.md, user_profile.md or next_item.md: a path, `package:folder` of an "
            "installed package, or the name of an entry point of the group genre.prompts; None: the built-in ones."
        ),
    ] = None

    def __post_init__(self) -> None:
        check_options(self)
        load_domain(self.domain)
        if self.grounding == "names" and self.language not in CAPITALS:
            raise OptionError(
                f"Augmentation: grounding: names cannot be distinguished from other words in {self.language}; use words"
            )

    def prompt(self, name: str) -> Prompt:
        """Read the prompt of a step, the user's own where there is one.

        Args:
            name: One of `PROMPTS`.

        Returns:
            The prompt.

        Raises:
            ConfigError: The folder `prompts` does not exist, or the file cannot be read.
        """
        folder = self.prompts
        if folder is None:
            return load_prompt(name)
        if not folder.is_dir():
            installed = str(folder) if is_package_file(str(folder)) else folder.name
            folder = package_file(installed, "genre.prompts") or folder
        if not folder.is_dir():
            raise ConfigError(f"augmentation.prompts: {folder} is no folder; make it, or leave prompts out")
        own = folder / f"{name}.md"
        return load_prompt(name, own) if own.is_file() else load_prompt(name)

    def fingerprint(self) -> str:
        """Compute a digest of all that shapes a prompt: options, domain, and the text of the prompt files.

        Returns:
            Equal digests mean equal prompts for equal data.
        """
        options = {**asdict(self), "domain": "", "prompts": {name: self.prompt(name).hash for name in PROMPTS}}
        return digest_texts([str(options), str(load_domain(self.domain).words), load_prompt("repair").hash])

    def wording(self) -> dict[str, Value]:
        """Return the variables of a prompt that are the same for every item and user.

        Returns:
            Name -> value.
        """
        domain = load_domain(self.domain).words
        return {**domain.wording(), "language": self.language}


def summary_prompts(train: Dataset, options: Augmentation) -> PromptBatch:
    """Fill the prompts for a sentence and topics of each item that has any text.

    Args:
        train: The train part.
        options: Options of augmentation.

    Returns:
        The filled prompts.

    Raises:
        DataError: A listed column does not exist.
    """
    domain = load_domain(options.domain).words
    lines = sent_fields(train.items, options.item_fields)
    rows = np.array([row for row in _most_popular(train, options.max_items) if lines[row]], np.int64)
    facts, topics = [lines[row] for row in rows], [_rotated(domain.topics, train.item_ids[row]) for row in rows]
    opening = domain.summary if options.language == "English" else ""
    general = [opening, *domain.wording().values()]

    def check(at: int, answer: Any) -> str:
        title, *others = facts[at]
        evidence = [*facts[at], *_sayable(answer.topics, facts[at], domain, options)]
        return (
            grounding_problem(
                answer.summary, evidence, options.language, frame=general, by_words=options.grounding == "words"
            )
            or emptiness_problem(answer.summary, [*others, *domain.topics], [title, *general], options.language)
            or _first_ones(answer.topics, topics[at])
            or _other_topics(answer.topics, facts[at], domain)
        )

    def instead(at: int, answer: Any) -> Any:
        quote = nearest_quote(answer.summary, [*facts[at], *_named(answer.topics, facts[at])], options.language)
        return _with_quote(answer, "summary", opening, quote, options)

    wording = {**_only(options.wording(), "item", "language"), "opening": opening}
    values = _values(wording, topics, fields=facts)
    shape = _shape("Summary", domain, 3, summary=_sentence(opening))
    columns = {"summary": lambda answer: answer.summary, "topics": _topics}
    by_words = options.grounding == "words"
    forms = [sentence_form(lines, options.language, opening) if by_words else {} for lines in facts]
    return PromptBatch(options.prompt("item_summary"), rows, values, shape, check, columns, forms, instead)


def profile_prompts(train: Dataset, options: Augmentation) -> PromptBatch:
    """Fill the prompts for a sentence and topics of each user who liked an item in the train part.

    Args:
        train: The train part.
        options: Options of augmentation.

    Returns:
        The filled prompts.

    Raises:
        DataError: A listed column does not exist.
    """
    domain = load_domain(options.domain).words
    histories = liked_lines(train, options)
    rows = np.array([row for row in _users(train, options) if histories[row]], np.int64)[: options.max_users]
    facts, topics = [histories[row] for row in rows], [_rotated(domain.topics, train.user_ids[row]) for row in rows]
    opening = domain.profile if options.language == "English" else ""
    general = [opening, *domain.wording().values()]

    def check(at: int, answer: Any) -> str:
        beside = [line.partition(SEPARATOR)[2] for line in facts[at]]  # to name a title is not to say what is liked
        known = [part for line in facts[at] for part in _whole_parts(line)]
        evidence = [*known, *_sayable(answer.topics, known, domain, options)]
        by_words, taste = options.grounding == "words", neutral_words("taste_words")[options.language]
        return (
            grounding_problem(answer.profile, evidence, options.language, frame=[*general, *taste], by_words=by_words)
            or emptiness_problem(answer.profile, [*beside, *domain.topics], general, options.language)
            or _first_ones(answer.topics, topics[at])
            or _other_topics(answer.topics, beside, domain)
        )

    def instead(at: int, answer: Any) -> Any:
        known = [part for line in facts[at] for part in _whole_parts(line)]
        quote = nearest_quote(
            answer.profile, [*known, *_named(answer.topics, known)], options.language, sentences=False
        )
        return _with_quote(answer, "profile", opening, quote, options)

    wording = {**_only(options.wording(), "items", "person", "took", "language"), "opening": opening}
    values = _values(wording, topics, history=facts)
    shape = _shape("Profile", domain, 5, profile=_sentence(opening))
    columns = {"profile": lambda answer: answer.profile, "interests": _topics}
    begin = f"{opening} " if opening else PROFILE_BEGINS.get(options.language, "")
    forms = [_kinds_of(lines, options, begin) if begin and options.grounding == "words" else {} for lines in facts]
    return PromptBatch(options.prompt("user_profile"), rows, values, shape, check, columns, forms, instead)


def next_item_prompts(train: Dataset, options: Augmentation) -> PromptBatch:
    """Fill the prompts for an invented next item of each user whose history is short but not empty.

    Args:
        train: The train part.
        options: Options of augmentation.

    Returns:
        The filled prompts.

    Raises:
        DataError: A listed column does not exist.
    """
    return _inventions(train, options, [""] * train.n_users, "synthetic")


def chained_item_prompts(train: Dataset, options: Augmentation) -> PromptBatch:
    """Fill the prompts for an invented next item, with the user's profile before the history.

    Args:
        train: The train part.
        options: Options of augmentation.

    Returns:
        The filled prompts.

    Raises:
        DataError: A listed column does not exist.
    """
    return _inventions(train, options, column_texts(train.users, "profile"), "synthetic_chained")


def _inventions(train: Dataset, options: Augmentation, profiles: list[str], name: str) -> PromptBatch:
    """Fill the prompts for invented items, whose columns begin with `name`."""
    domain = load_domain(options.domain).words
    histories = liked_lines(train, options)
    short = _lengths(train) <= options.short_history
    rows = np.array([row for row in _users(train, options) if short[row] and histories[row]], np.int64)
    rows = rows[: options.max_invented or options.max_users]
    facts, topics = [histories[row] for row in rows], [_rotated(domain.topics, train.user_ids[row]) for row in rows]

    def check(at: int, answer: Any) -> str:
        if any(title_key(answer.title) == title_key(line.partition(SEPARATOR)[0]) for line in facts[at]):
            return "the title is in the list already"
        return sentence_problem(answer.description, options.language) or _first_ones(answer.topics, topics[at])

    values = _values(options.wording(), topics, history=facts, profile=[profiles[row] for row in rows])
    shape = _shape("NextItem", domain, 3, title=_text(100), description=_text(LONGEST))
    columns = {f"{name}_text": lambda answer: f"{answer.title}: {answer.description} {_topics(answer)}"}
    return PromptBatch(options.prompt("next_item"), rows, values, shape, check, columns, matched=f"{name}_item")


def liked_lines(train: Dataset, options: Augmentation) -> list[list[str]]:
    """Describe the newest liked items of each user.

    Args:
        train: The train part.
        options: Options of augmentation.

    Returns:
        Lines of text a user, the oldest item first: title and summary where there is one, else the listed columns.
        [n_users]

    Raises:
        DataError: A listed column does not exist.
    """
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


def _with_quote(answer: Any, name: str, opening: str, quote: str, options: Augmentation) -> Any:
    """Put words of the data into an answer; None where there are none, or it has no sentence that points at them."""
    if not quote or options.grounding != "words" or sentence_problem(getattr(answer, name), options.language):
        return None
    return answer.model_copy(update={name: ended(f"{opening} {quote}".strip(), options.language)})


def _kinds_of(lines: Sequence[str], options: Augmentation, begin: str) -> Schema:
    """Describe the sentences that name kinds of a history."""
    known = [sanitize(part) for line in lines for part in _whole_parts(line)]
    return kinds_form(read_quotes(known, options.language).kinds, options.language, begin)


def _whole_parts(line: str) -> list[str]:
    """Divide what is behind the title in a line of a history; the last part of a line that is cut off is not whole."""
    parts = line.split(SEPARATOR)[1:]
    return parts[:-1] if len(line) == LINE_LENGTH else parts


def _most_popular(train: Dataset, most: int | None) -> Int64:
    """Return rows of items, the most popular first."""
    return np.argsort(-np.bincount(train.item, minlength=train.n_items), kind="stable")[:most]


def _users(train: Dataset, options: Augmentation) -> Int64:
    """Return rows of users, the most active first; where items are invented, short histories before long ones."""
    lengths = _lengths(train)
    long = (lengths > options.short_history) & (options.synthetic != "none")
    return np.lexsort((-lengths, long))


def _lengths(train: Dataset) -> Int64:
    """Count the interactions of each user, [n_users]."""
    return np.bincount(train.user, minlength=train.n_users)


def _topics(answer: Any) -> str:
    """Join the topics of an answer."""
    return ", ".join(dict.fromkeys(answer.topics))


def _only(values: dict[str, Value], *names: str) -> dict[str, Value]:
    """Pick some variables of a prompt."""
    return {name: values[name] for name in names}


def _values(
    wording: Mapping[str, Value], topics: Sequence[Sequence[str]], **by_row: Sequence[Value]
) -> list[dict[str, Value]]:
    """Return the variables of each row's prompt: the wording of all, the row's topics, and the row's own values."""
    names, order = list(by_row), [", ".join(offered) for offered in topics]
    rows = zip(*by_row.values(), order, strict=True)
    return [{**wording, **dict(zip([*names, "topics"], row, strict=True))} for row in rows]


def _rotated(topics: Sequence[str], id_: str) -> list[str]:
    """Start the list of topics at another place for each id, which reveals a model that always takes the first.

    Not for each row number: later items and users would change it.
    """
    start = zlib.crc32(id_.encode("utf-8", "surrogatepass")) % len(topics)
    return [*topics[start:], *topics[:start]]


def _first_ones(chosen: Sequence[str], offered: Sequence[str]) -> str:
    """Return what is wrong with topics that are merely the first of the list."""
    several = len(chosen) > 1 and list(chosen) == list(offered[: len(chosen)])
    return "the topics are simply the first ones of the list; choose those that fit" if several else ""


def _sayable(chosen: Sequence[str], facts: Sequence[str], domain: Words, options: Augmentation) -> Sequence[str]:
    """Return the topics that a sentence may name: those that were chosen and that the data name."""
    return _named(chosen, facts) if options.grounding == "words" else domain.topics


def _named(topics: Sequence[str], facts: Sequence[str]) -> list[str]:
    """Return the topics that the data name."""
    data = f" {' '.join(' '.join(words(fact)) for fact in facts)} "
    return [topic for topic in topics if f" {' '.join(words(topic))} " in data]


def _other_topics(chosen: Sequence[str], facts: Sequence[str], domain: Words) -> str:
    """Return what is wrong with topics of which none is among those that the data name."""
    named = _named(domain.topics, facts)
    wrong = bool(named) and not set(named) & set(chosen)
    return f"its topics are not those of the data; {', '.join(named[:5])} is in them" if wrong else ""


def _text(most: int) -> Any:
    """Return the type of a short text."""
    return Annotated[str, Field(min_length=3, max_length=most)]


def _sentence(opening: str) -> Any:
    """Return the type of a sentence with a given beginning: left to begin by itself, a small model says nothing."""
    if not opening:
        return _text(LONGEST)
    body = LONGEST - len(opening) - 2
    return Annotated[str, Field(pattern=f'^{opening} [^"\\\\]{{3,{body}}}[.!?]$')]


def _shape(name: str, domain: Words, most_topics: int, **texts: Any) -> type[BaseModel]:
    """Make a pydantic model of short texts (field -> type) and topics of the closed list."""
    fields: dict[str, Any] = {key: (text, ...) for key, text in texts.items()}
    topic: Any = Literal[domain.topics]
    fields["topics"] = (Annotated[list[topic], Field(min_length=1, max_length=most_topics)], ...)
    return create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
