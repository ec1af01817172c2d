"""Sentences that can say nothing false: facts of the evidence in their places, and between them words of a closed list.

The list of a language (`prompts/phrases.yaml`) has no negation, number or superlative. A clause about the past may name
only what was liked before, a clause about the future only what is recommended. Knows nothing about recommending.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Any

import yaml

from genre.data.words import WORD

ITEM, CAUSE, SHARED = "\ue000", "\ue001", "\ue002"  # what stands for a fact in a text
MARKS = re.compile(r"[,;:.!?()\"“”„«»‘’，。；：！？、（）「」『』《》〈〉—–…-]+")
BRACKETS = re.compile(r"(?:\s*\([^()]*\))+\s*$")


@dataclass(frozen=True)
class Phrases:
    """The closed list of one language.

    Attributes:
        past: Words about what a user did and liked.
        future: Words about what is recommended.
        reasons: Words that begin a clause about the past.
        splits: Other words that begin a clause.
        neutral: All other words.
        opening: How a sentence may begin, for the prompt.
        form: A regular expression of sentences with ITEM and CAUSE in the places of titles, for servers that can hold a
            model to one.
        spaced: Whether words are separated by spaces.
    """

    past: frozenset[str]
    future: frozenset[str]
    reasons: frozenset[str]
    splits: frozenset[str]
    neutral: frozenset[str]
    opening: str
    form: str
    spaced: bool = True

    @cached_property
    def words(self) -> frozenset[str]:
        """All words of the list."""
        return self.past | self.future | self.reasons | self.splits | self.neutral


def read_word_lists(name: str) -> dict[str, dict[str, Any]]:
    """Read words by language from a file beside the prompts.

    Args:
        name: Of the file.

    Returns:
        Language -> name of a list -> its words, as texts and lists of texts: `on` and `no` are words.
    """
    text = (resources.files("genre") / "prompts" / name).read_text(encoding="utf-8")
    lists: dict[str, dict[str, Any]] = yaml.load(text, Loader=yaml.BaseLoader)  # makes nothing but texts
    return lists


@cache
def load_phrases() -> dict[str, Phrases]:
    """Read the lists of all languages.

    Returns:
        Language -> its list.
    """
    return {
        language: Phrases(
            past=frozenset(one["past"]),
            future=frozenset(one["future"]),
            reasons=frozenset(one["reasons"]),
            splits=frozenset(one["splits"]),
            neutral=frozenset(one["neutral"]),
            opening=one["opening"],
            form=one["form"],
            spaced="spaced" not in one,
        )
        for language, one in read_word_lists("phrases.yaml").items()
    }


def with_titles(sentence: str, item: str, cause: str) -> str:
    """Put titles into the places that a model left for them.

    Args:
        sentence: A sentence with ITEM and CAUSE, or with titles of its own.
        item: The title of what is recommended.
        cause: The title of what was liked before.

    Returns:
        The sentence.
    """
    return re.sub("ITEM|CAUSE", lambda match: item if match[0] == "ITEM" else cause or match[0], sentence)


def unsupported(sentence: str, item: str, causes: Sequence[str], shared: Sequence[str], language: str) -> str:
    """Check that a sentence can say nothing but its evidence.

    Args:
        sentence: A generated sentence.
        item: The title of what is recommended.
        causes: Titles of what was liked before.
        shared: Words in common.
        language: A language of `phrases.yaml`.

    Returns:
        What is wrong with it, in words for the model; empty when nothing is.
    """
    phrases = load_phrases()[language]
    text = _with_slots(sentence, item, causes, shared, phrases)
    if not set(text) & {CAUSE, SHARED}:
        return "it gives no reason that is in the data"
    about, n_words = "", 0
    for clause in MARKS.split(text):
        for starts, tokens in _parts(clause, phrases):
            unknown = [token for token in tokens if token not in phrases.words and token not in (ITEM, CAUSE, SHARED)]
            if unknown:
                return f"these are not in the data: {', '.join(unknown[:5])}"
            plain = [token for token in tokens if token in phrases.words and token not in ("and", "or", "the", "a")]
            n_words += len(plain)
            about = _about(starts, plain, phrases) if starts or plain else about  # a list goes on after a comma
            if (about == "past" and ITEM in tokens) or (about == "future" and CAUSE in tokens) or about == "both":
                return "it mixes up what was liked before and what is recommended"
    return "" if n_words >= 2 else "it is not a sentence"


def _about(starts: str, plain: Sequence[str], phrases: Phrases) -> str:
    """Tell what a clause is about: past, future, both, or neither."""
    past = starts in phrases.reasons or any(token in phrases.past for token in plain)
    future = any(token in phrases.future for token in plain)
    return "both" if past and future else "past" if past else "future" if future else ""


def _with_slots(sentence: str, item: str, causes: Sequence[str], shared: Sequence[str], phrases: Phrases) -> str:
    """Put a mark into the place of each fact, the longest first, so that years and names go with their titles."""
    facts = [(name, slot) for slot, titles in ((ITEM, [item]), (CAUSE, causes)) for name in titles]
    facts += [(BRACKETS.sub("", name), slot) for name, slot in facts]
    facts += [(word, SHARED) for word in shared]
    text = re.sub(f"[{ITEM}{CAUSE}{SHARED}]", " ", sentence)
    for name, slot in sorted(facts, key=lambda fact: -len(fact[0])):
        if name.strip():
            edge = (r"(?<!\w)", r"(?:['’]s)?(?!\w)") if phrases.spaced else ("", "")
            text = re.sub(f"{edge[0]}{re.escape(name)}{edge[1]}", f" {slot} ", text, flags=re.IGNORECASE)
    return text


def _parts(clause: str, phrases: Phrases) -> Iterator[tuple[str, list[str]]]:
    """Divide a clause where a word begins another one; yield that word, and the tokens after it."""
    starts, tokens = "", list[str]()
    for token in _tokens(clause, phrases):
        if token in phrases.reasons or token in phrases.splits:
            yield starts, tokens
            starts, tokens = token, []
        else:
            tokens.append(token)
    yield starts, tokens


def _tokens(clause: str, phrases: Phrases) -> Iterator[str]:
    """Yield words and marks of facts; in a script without spaces the longest words of the list."""
    if phrases.spaced:
        for match in re.finditer(f"[{ITEM}{CAUSE}{SHARED}]|{WORD.pattern}|[^\\w\\s]", clause):
            yield match[0].lower().replace("’", "'")
        return
    longest = max(map(len, phrases.words))
    at = 0
    while at < len(clause):
        if clause[at].isspace():
            at += 1
            continue
        size = next((n for n in range(longest, 1, -1) if clause[at : at + n] in phrases.words), 1)
        yield clause[at : at + size]
        at += size
