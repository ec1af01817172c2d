"""Find the values of fields that a text names: `sci-fi`, `Disney plus`, `starring Zendaya`. Knows no negation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from genre.data.words import WORD, word_forms, words
from genre.serving.search.facets import Facet, Facets
from genre.serving.search.query import TITLE
from genre.serving.search.vocabulary import AGE_RATINGS, GENRES, LANGUAGES, SERVICES, SYNONYMS, UNRATED

VALUE = "\ua66e"  # a letter that no text has; stands for a value of a field while the rest is read
LONGEST_VALUE = 6  # words
SHORT = 2  # letters; shorter values, such as R, count only as they are written

_DIRECTED = re.compile(r"\b(?:direct(?:ed|or)?|written|made|by|books? (?:of|by))\b[^,]*$", re.I)
_BY_NAME = re.compile(r"\b(?:with|starring|by|featuring|from|director|actor|actress|author|of)\s+$", re.I)


@dataclass(frozen=True)
class NamedValue:
    """A value of a field that a text names.

    Attributes:
        facet: The facet of the field.
        value: The value, as items have it.
    """

    facet: Facet
    value: str


class ValueFinder:
    """Finds the values of a catalogue's fields.

    Attributes:
        by_stems: Facet and value of what people write, by its stems.
    """

    def __init__(self, facets: Facets) -> None:
        """Read the values.

        Args:
            facets: What items can be filtered by.
        """
        self._facets = facets
        self.by_stems: dict[str, list[tuple[Facet, str]]] = {}
        for facet in facets.by_name.values():
            for said, value in ({value: value for value in facet.counts} | _other_names(facet)).items():
                self.by_stems.setdefault(stems(said), []).append((facet, value))

    def find(self, text: str, topic: Facet | None) -> tuple[str, list[NamedValue]]:
        """Put `VALUE` in place of each value of a field, the longest at a place.

        Args:
            text: A text without `VALUE`.
            topic: The facet that it answers a question about, or None.

        Returns:
            The text, and the values in order.
        """
        spans = [match.span() for match in WORD.finditer(text)]
        rest, kept, at, found = "", 0, 0, list[NamedValue]()
        while at < len(spans):
            start = spans[at][0]
            for size in range(min(LONGEST_VALUE, len(spans) - at), 0, -1):
                end = spans[at + size - 1][1]
                meant = self._meaning(text[start:end], text[:start], topic)
                if meant is not None:
                    end += len(text[end : end + 1].strip("., ;:!?)]}'\"-/&")) if text[end : end + 1] == "+" else 0
                    rest += text[kept:start]
                    found.append(NamedValue(*meant))
                    rest, kept = rest + VALUE, end
                    at += size - 1
                    break
            at += 1
        return rest + text[kept:], found

    def _meaning(self, said: str, before: str, topic: Facet | None) -> tuple[Facet, str] | None:
        """Return the facet and the value that some words mean, or None."""
        if TITLE in said or "\n" in said:
            return None
        known = [one for one in self.by_stems.get(stems(said), []) if _is_written(said, one, topic)]
        if not known and (partial := self._partial(said, before)) is not None:
            known = [partial]
        if not known:
            return None
        if topic is not None and (about_it := [one for one in known if one[0] is topic]):
            return about_it[0]
        if _DIRECTED.search(before):
            known.sort(key=lambda one: one[0].about != "maker")
        elif any(facet.about == "person" for facet, _ in known):
            known.sort(key=lambda one: one[0].about == "maker")
        return known[0]

    def _partial(self, said: str, before: str) -> tuple[Facet, str] | None:
        """Return the one service or person that part of a name means: `Prime`, `starring Zendaya`."""
        if not said[:1].isupper() or " " in said or not before.strip():
            return None
        for facet, parts in self._parts:
            if facet.kind == "name" and not _BY_NAME.search(before):
                continue
            if (value := parts.get(said.casefold())) is not None:
                return facet, value
        return None

    @cached_property
    def _parts(self) -> list[tuple[Facet, dict[str, str]]]:
        """By facet of services or people, the value of each word that is part of one name alone."""
        found = []
        for facet in self._facets.by_name.values():
            if facet.about not in ("available", "person", "maker"):
                continue
            parts: dict[str, str | None] = {}
            for value in dict.fromkeys([*facet.counts, *(SERVICES if facet.about == "available" else ())]):
                several = words(value)
                for word in several if facet.about == "available" else several[-1:]:
                    parts[word] = None if word in parts and parts[word] != value else value
            found.append((facet, {word: value for word, value in parts.items() if value and len(word) > SHORT}))
        return found


def stems(said: str) -> str:
    """Return what words are compared by.

    Args:
        said: Some words.

    Returns:
        Their stems, blanks between.
    """
    return " ".join(min(word_forms(word)) for word in words(said))


def _other_names(facet: Facet) -> dict[str, str]:
    """Return what else people write for the values of a facet, and values that no item has."""
    held = {value.casefold(): value for value in facet.counts}
    if facet.about == "genre":
        names = {
            genre: genre for genre in GENRES if genre.casefold() not in held and stems(genre) not in map(stems, held)
        }
        for said, meant in SYNONYMS.items():
            value = next((held[one.casefold()] for one in meant if one.casefold() in held), None)
            if value is not None:
                names[said] = value
        return names
    if facet.about == "age":
        return {
            rating: rating for scale in AGE_RATINGS for rating in (*scale, UNRATED) if rating.casefold() not in held
        }
    if facet.about == "available":
        return {name: name for name in SERVICES if name.casefold() not in held} | {
            value.replace("+", " plus"): value for value in {*facet.counts, *SERVICES} if "+" in value
        }
    if facet.about == "language":
        return {name: held.get(name, code) for name, code in LANGUAGES.items()}
    return {}


def _is_written(said: str, one: tuple[Facet, str], topic: Facet | None) -> bool:
    """Tell whether a short value is written as it is, `R` not `r`, and a number answers a question about its field."""
    facet, value = one
    if value.isdigit():
        return facet is topic
    return len(said) > SHORT or said == value or (facet is topic and said.casefold() == value.casefold())
