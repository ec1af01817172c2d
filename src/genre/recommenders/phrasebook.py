"""The words of reasons and of rules, a file of `phrasebooks/` a language in which lists are answered.

Knows no evidence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Literal, get_args

Language = Literal["en", "zh"]
"""A language of reasons: English, or Chinese in simplified characters."""


@dataclass(frozen=True)
class Phrasebook:
    """The words of one language; `{}` is where a title or a list of titles and words stands, `{name}` a value.

    Attributes:
        popular: Of an item that is in a list because many users have it.
        trending: Of one that many users had in the last days.
        rare: Of one that few users have, in a list that favours such.
        no_evidence: Of one that nothing in the history speaks for.
        unknown: Of one that is not in the catalogue.
        at_random: Of one that was put at its place at random.
        placed: Of one that a rule, named in it, put at its place.
        moved_up: Of one that a rule moved up.
        not_at_place: A pin that could not be kept, and why: `unknown` or one of the next three.
        hidden: Another rule hides the item.
        had: The user had it, and seen items are left out.
        pinned_twice: Another rule has pinned the item, or another item at the place.
        too_few: A share that could not be kept.
        too_many: A limit that pinned items are above.
        too_many_of: The same, in one category.
        because: Titles of the history that raise the score.
        also: The same, behind other evidence.
        shares: Words in common.
        similar: The title that an item is near.
        together: The title that users of an item have, too.
        like: Titles that a query in words names.
        without: Words that a query rules out.
        nothing_fits: Behind `popular` or `without`, where no item fits a query.
        leads: The words for evidence that weighs more than the history, by its name in `Explanation.parts`.
        joiner: Between two titles.
        comma: Between words.
        semicolon: Between parts of a sentence.
    """

    popular: str
    trending: str
    rare: str
    no_evidence: str
    unknown: str
    at_random: str
    placed: str
    moved_up: str
    not_at_place: str
    hidden: str
    had: str
    pinned_twice: str
    too_few: str
    too_many: str
    too_many_of: str
    because: str
    also: str
    shares: str
    similar: str
    together: str
    like: str
    without: str
    nothing_fits: str
    leads: Mapping[str, str]
    joiner: str
    comma: str
    semicolon: str

    def titles(self, template: str, titles: Sequence[str]) -> str:
        """Fill titles into a template.

        Args:
            template: One of the attributes with a `{}`.
            titles: The titles.

        Returns:
            The text.
        """
        return template.replace("{}", self.joiner.join(titles))

    def words(self, template: str, words: Sequence[str]) -> str:
        """Fill words into a template.

        Args:
            template: One of the attributes with a `{}`.
            words: The words.

        Returns:
            The text.
        """
        return template.replace("{}", self.comma.join(words))


def _read(language: Language) -> Phrasebook:
    text = (resources.files("genre.recommenders") / "phrasebooks" / f"{language}.json").read_text(encoding="utf-8")
    return Phrasebook(**json.loads(text))


PHRASEBOOKS = {language: _read(language) for language in get_args(Language)}
ENGLISH, CHINESE = PHRASEBOOKS["en"], PHRASEBOOKS["zh"]


def with_note(reason: str, note: str, language: Language = "en") -> str:
    """Put what else is to be said of an item, such as what a rule did for it, before its reason.

    Args:
        reason: A sentence, or an empty text.
        note: Another one, or an empty text.
        language: Their language.

    Returns:
        Both.
    """
    return f"{note}{PHRASEBOOKS[language].semicolon}{reason}" if note and reason else note or reason
