"""Read what a sentence says about items: conditions on fields, titles, answers such as `any` or `not that one`.

Every kind of statement is read apart, most special first: titles, values of fields, quantities, negations. English.
Knows the facets of items, nothing about users, recommenders or earlier sentences but the question they answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Literal

from genre.data.item_fields import Between, Condition, Dated, NoneOf, OneOf
from genre.data.titles import rows_by_title
from genre.data.words import words
from genre.serving.search.facets import Facet, Facets
from genre.serving.search.field_values import VALUE, NamedValue, ValueFinder, stems
from genre.serving.search.quantities import Quantity, compared, read_quantities
from genre.serving.search.query import LONGEST, NEGATED, TITLE, find_titles
from genre.serving.search.vocabulary import AGE_RATINGS, FOR_CHILDREN, SUBJECTS, UNRATED

MOST_ONLY = ("duration", "price")  # of which a bare number is the most that is wanted

_CLAUSES = re.compile(r"[.;!?…](?:\s+|$)|\n+|(?<!anything )(?<!nothing )\bbut\b", re.I)
_SEEN = re.compile(r"\b(?:seen|watched|saw|already (?:know|read|own|have|played|heard))\b", re.I)
_SOFT = re.compile(
    r"\b(?:prefer\w*\b.*\b(?:over|to|than|rather)|ideally|if possible|would be (?:nice|great|a plus)|bonus|"
    r"don['’]?t mind|"
    r"do not mind|(?:fine|ok(?:ay)?|cool) with|open to|favou?rites?|usually|in general|normally|i(?:['’]m| am) an?|"
    r"we(?:['’]re| are))\b",
    re.I,
)  # fmt: skip
_ANY = re.compile(
    r"\b(?:any(?:thing)?(?: goes| is fine| works| will do)?|no (?:strong )?(?:preferences?|limits?|matter)|"
    r"whatever|don['’]?t (?:really )?(?:care|mind)|"
    r"do not (?:care|mind)|(?:doesn['’]?t|does not) matter|not (?:important|fussed|picky|really)|none|nothing "
    r"(?:else|in particular|special|more)|"
    r"up to you|skip|either|(?:all|both|everything) (?:are |is )?(?:fine|good|ok))\b|^\W*(?:no|nope|"
    r"nah)\b[\s,]*(?:thanks|thank you)?\W*$",
    re.I,
)  # fmt: skip
_NOT_THAT = re.compile(
    r"\bnot (?:that|this)(?: one)?\b|\bsomething else\b|\banother (?:one|film|movie|item|book|suggestion)\b|\bnot "
    r"interested\b|"
    r"\b(?:seen|watched|read|know|have|own) (?:it|that|this)(?: one)?(?: already| before)?\s*$|\bnext(?: one)?\W*$",
    re.I,
)  # fmt: skip
_NONE_OF_THEM = re.compile(
    r"\bnone of (?:these|those|them)\b|\b(?:seen|watched) (?:all|them all|all of them|these|those)\b", re.I
)
_ENOUGH = re.compile(
    r"\b(?:just (?:recommend|pick|choose|show|tell|give)|surprise me|no more questions|that['’]?s (?:all|enough|"
    r"it)|stop asking)\b", re.I
)  # fmt: skip
_RESTART = re.compile(r"\b(?:start (?:over|again|anew)|forget (?:it all|everything|all that))\b", re.I)
_INSTEAD = re.compile(r"\b(?:instead|actually|make (?:it|that)|changed? my mind|after all|on second thoughts?)\b", re.I)
_MORE_NEGATED = re.compile(
    rf"\s*,\s*{VALUE}(?:\s*,\s*{VALUE})*(?:\s*,?\s+(?:or|nor)\s+{VALUE})|\s*,\s*{VALUE}(?=\W*$)", re.I
)
_JOINED = re.compile(
    r"(?:[\s,/&+]|\b(?:or|and|and/or|an?|the|some|also|maybe|even|plus|both|as well as|then|either|"
    r"on|with|films?|movies?|books?|ones?|starring|featuring|directed by)\b)*", re.I
)  # fmt: skip
_OR = re.compile(r"/|\bor\b", re.I)
_UNRATED = re.compile(r"\b(?:unrated|not rated)\b(?!\s+(?:above |over |at most )?(?:R|G|PG|NC|TV|M)\b)", re.I)
_CHILDREN = re.compile(
    r"\b(?:family[- ]friendly|child[- ]friendly|(?:suitable |ok(?:ay)? |fine |good )?for (?:the |my |our |young |"
    r"small )*(?:kids|children|whole family))\b",
    re.I,
)  # fmt: skip
_FILLERS = frozenset(
    words(
        "a about actually all already also am an and any anything are as at available be been book books but "
        "by can could directed do does don't either else evening film films find fine for from genre genres "
        "get give good got has have hello hey hi hours i i'd i'll i'm i've ideally if in instead is it it's "
        "item items its just kind least length let like long longer looking love made make maybe me mind "
        "minutes more most movie movies must my need needs no not of ok okay on one only or our please prefer "
        "rated rating really recommend released right run say score seen service services should show so some "
        "something starring still streaming subscribe suggest surprise take thank thanks that that's the them "
        "then there these they this those to today tonight too two us use using very want wants was watch "
        "watched we we'd we'll well were what which will with would yes you your "
    )
)


@dataclass(frozen=True)
class Statement:
    """What a sentence says about a field.

    Attributes:
        field: Name of the field.
        condition: What it must be.
    """

    field: str
    condition: Condition


@dataclass
class Heard:
    """What a sentence says.

    Attributes:
        statements: Conditions.
        settled: The field of the question, where the answer is that anything will do.
        dropped: Other fields of which the user says so; conditions on them hold no more.
        liked: Rows of items that the user names as examples.
        excluded: Rows of items that the user has seen or does not want.
        refused: Whether the first of the items that were shown is refused, or all of them.
        enough: Whether the user wants no more questions.
        restart: Whether the user wants to start over.
        replaces: Whether statements replace earlier ones about the same field.
        wishes: The words that are no condition and no title.
    """

    statements: list[Statement] = field(default_factory=list)
    settled: set[str] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)
    liked: list[int] = field(default_factory=list)
    excluded: list[int] = field(default_factory=list)
    refused: Literal["none", "first", "all"] = "none"
    enough: bool = False
    restart: bool = False
    replaces: bool = False
    wishes: str = ""


class SentenceReader:
    """Reads sentences about the items of a catalogue.

    Attributes:
        facets: What items can be filtered by.
    """

    def __init__(self, facets: Facets, titles: Sequence[str]) -> None:
        """Make a reader; what it needs of the items is computed at the first sentence.

        Args:
            facets: What items can be filtered by.
            titles: Title of each item. `[n_items]`
        """
        self.facets, self._titles = facets, titles

    @cached_property
    def _values(self) -> ValueFinder:
        return ValueFinder(self.facets)

    @cached_property
    def _row_by_title(self) -> Mapping[str, int]:
        found = rows_by_title(self._titles)
        return {title: row for title, row in found.items() if stems(title) not in self._values.by_stems}

    def read(self, text: str, topic: str | None = None) -> Heard:
        """Read what a user says.

        Args:
            text: One or several sentences.
            topic: Field of the question that they answer, or None.

        Returns:
            What they say.
        """
        text = " ".join(text[:LONGEST].translate({ord(TITLE): " ", ord(VALUE): " "}).split())
        heard = Heard(
            refused="all" if _NONE_OF_THEM.search(text) else "first" if _refuses_first(text) else "none",
            enough=bool(_ENOUGH.search(text)),
            restart=bool(_RESTART.search(text)),
            replaces=bool(_INSTEAD.search(text)),
        )
        facet = self.facets.by_name.get(topic or "")
        for clause in _CLAUSES.split(text):
            if clause and clause.strip():
                self._read_clause(clause, facet, heard)
        heard.statements = _merged(heard.statements, self.facets)
        said = {statement.field for statement in heard.statements}
        if facet is not None and facet.name not in said:
            if _ANY.search(text):
                heard.settled.add(facet.name)
            elif facet.about == "available" and (names := _capitalised(text)):
                heard.statements.append(Statement(facet.name, OneOf(frozenset(names))))
        return heard

    def _read_clause(self, clause: str, topic: Facet | None, heard: Heard) -> None:
        text, rows = find_titles(clause, self._row_by_title, listed=bool(_SEEN.search(clause)))
        statements: list[Statement] = []
        if (age := self.facets.about("age")) is not None and _CHILDREN.search(text):
            statements.append(Statement(age.name, OneOf(frozenset(rating.casefold() for rating in FOR_CHILDREN))))
            text = _CHILDREN.sub(" ", text)
        text, named = self._values.find(_UNRATED.sub(UNRATED, text), topic)
        text, ordered, named = _ordered(text, named)
        quantities, text = read_quantities(text)
        negated = _negated_spans(text)
        statements += ordered + self._quantity_statements(quantities, topic)
        statements += _value_statements(text, named, negated)
        places = _places(text, TITLE)
        for row, at in zip(rows, places, strict=True):
            unwanted = bool(_SEEN.search(clause)) or _inside(at, negated)
            (heard.excluded if unwanted else heard.liked).append(row)
        taste = self.facets.about("genre") if _SOFT.search(text) else None  # a taste is no condition
        heard.statements += [one for one in statements if taste is None or one.field != taste.name]
        heard.wishes = f"{heard.wishes} {_rest(text, negated) if taste is None else clause}".strip()
        if not statements and _ANY.search(text):
            heard.dropped |= self._subjects(text) - {topic.name if topic else ""}

    def _subjects(self, text: str) -> set[str]:
        """Return the fields that a clause names by what they are about."""
        named = (about for about, said in SUBJECTS.items() if re.search(rf"\b(?:{said})\b", text, re.I))
        return {facet.name for about in named if (facet := self.facets.about(about)) is not None}

    # --- quantities -------------------------------------------------------------------------------

    def _quantity_statements(self, quantities: Sequence[Quantity], topic: Facet | None) -> list[Statement]:
        if any(one.unit for one in quantities):  # two hours, and at least 6: only one of them answers the question
            topic = None
        made = [(facet, one) for one in quantities if (facet := self._facet_of(one, topic)) is not None]
        days = [(facet, one) for facet, one in made if facet.kind == "day" and one.low and one.high]
        if len(days) > 1:  # from the eighties or nineties
            first, last = min(str(one.low) for _, one in days), max(str(one.high) for _, one in days)
            made = [pair for pair in made if pair not in days] + [(days[0][0], Quantity("date", first, last))]
        return [Statement(facet.name, _condition(facet, one)) for facet, one in made]

    def _facet_of(self, one: Quantity, topic: Facet | None) -> Facet | None:
        """Return the facet that a quantity is of."""
        about = {"minutes": "duration", "date": "day", "money": "price", "rating": "rating"}.get(one.unit)
        if about is not None:
            found = self.facets.about(about)
            return found if found is None or (found.kind == "day") == (about == "day") else None
        if topic is not None and topic.kind == "number":
            return topic
        stem = stems(one.unit)
        for facet in self.facets.by_name.values():
            if (
                one.unit
                and facet.kind == "number"
                and stem in {stems(word) for word in words(facet.name.replace("_", " "))}
            ):
                return facet
        rating = self.facets.about("rating")
        if rating is None or isinstance(one.low or one.high, str) or not one.compared or rating.kind != "number":
            return None
        return rating if float(one.low or one.high or 0.0) <= float(rating.high or 0.0) + 1 else None


def _refuses_first(text: str) -> bool:
    return bool(_NOT_THAT.search(text.rstrip(".!? ")))


def _ordered(text: str, named: Sequence[NamedValue]) -> tuple[str, list[Statement], list[NamedValue]]:
    """Read `nothing above PG-13` and `PG or milder`; return the text without, statements, and the other values."""
    statements, left = [], []
    for one, at in zip(named, _places(text, VALUE), strict=True):
        scale = next((scale for scale in AGE_RATINGS if one.value in scale), None)
        bound, n_before, n_behind = compared(text[:at], text[at + 1 :])
        if one.facet.about != "age" or scale is None or bound is None:
            left.append(one)
            continue
        n = scale.index(one.value)
        chosen = {"below": scale[:n], "most": scale[: n + 1], "least": scale[n:], "above": scale[n + 1 :]}[bound]
        statements.append(Statement(one.facet.name, OneOf(frozenset(value.casefold() for value in chosen))))
        start, end = at - n_before, at + 1 + n_behind
        text = text[:start] + " " * (end - start) + text[end:]
    return text, statements, left


def _places(text: str, mark: str) -> list[int]:
    return [at for at, letter in enumerate(text) if letter == mark]


def _negated_spans(text: str) -> list[tuple[int, int]]:
    """Return the negated pieces of a clause; a list such as `no horror, war or comedy` is negated to its end."""
    spans = []
    for match in NEGATED.finditer(text):
        more = _MORE_NEGATED.match(text, match.end()) if VALUE in match[0] else None
        spans.append((match.start(), more.end() if more else match.end()))
    return spans


def _inside(at: int, spans: Sequence[tuple[int, int]]) -> bool:
    return any(start <= at < end for start, end in spans)


def _value_statements(text: str, named: Sequence[NamedValue], negated: Sequence[tuple[int, int]]) -> list[Statement]:
    """Return what a clause says about the values that it names."""
    placed = list(zip(named, _places(text, VALUE), strict=True))
    unwanted = [one for one, at in placed if _inside(at, negated)]
    statements = [Statement(one.facet.name, NoneOf(frozenset([one.value.casefold()]))) for one in unwanted]
    for run in _runs(text, [(one, at) for one, at in placed if not _inside(at, negated)]):
        facet, values = run[0][0].facet, [one.value.casefold() for one, _ in run]
        between = "".join(text[at:other] for (_, at), (_, other) in pairwise(run))
        if not facet.several or facet.about == "available" or _OR.search(between):
            statements.append(Statement(facet.name, OneOf(frozenset(values))))
        else:
            statements += [Statement(facet.name, OneOf(frozenset([value]))) for value in values]
    return statements


def _runs(text: str, wanted: Sequence[tuple[NamedValue, int]]) -> list[list[tuple[NamedValue, int]]]:
    """Group values of one facet that are joined by commas, `and`, `or` and the like, each with its place."""
    runs: list[list[tuple[NamedValue, int]]] = []
    for one, at in wanted:
        last = runs[-1][-1] if runs else None
        if last is not None and last[0].facet is one.facet and _JOINED.fullmatch(text[last[1] + 1 : at]):
            runs[-1].append((one, at))
        else:
            runs.append([(one, at)])
    return runs


def _merged(statements: Sequence[Statement], facets: Facets) -> list[Statement]:
    """Join what is said about a field of one value: `R is fine. NR too` is either."""
    values: dict[str, frozenset[str]] = {}
    rest = []
    for one in statements:
        facet = facets.by_name[one.field]
        if isinstance(one.condition, OneOf) and facet.kind == "category" and not facet.several:
            values[one.field] = values.get(one.field, frozenset()) | one.condition.values
        elif one not in rest:
            rest.append(one)
    return rest + [Statement(name, OneOf(chosen)) for name, chosen in values.items()]


def _condition(facet: Facet, one: Quantity) -> Condition:
    """Return the condition that a quantity is; a bare number is the most, or the least, that is wanted."""
    if isinstance(one.low, str) or isinstance(one.high, str):
        return Dated(None if one.low is None else str(one.low), None if one.high is None else str(one.high))
    low, high = one.low, one.high
    if not one.compared and facet.about in MOST_ONLY:
        low = None
    elif not one.compared and facet.about == "rating":
        high = None
    scale = 60.0 if facet.about == "duration" and "sec" in facet.name.lower() else 1.0
    return Between(None if low is None else low * scale, None if high is None else high * scale)


def _capitalised(text: str) -> list[str]:
    """Return the names in an answer that no item has: words with a capital."""
    names = re.findall(r"(?<=\s)[A-Z][\w+]*(?:\s[A-Z][\w+]*)*", f" {text}")
    bare = (" ".join(word for word in name.casefold().split() if word not in _FILLERS) for name in names)
    return [name for name in bare if name]


def _rest(text: str, negated: Sequence[tuple[int, int]]) -> str:
    """Return the words of a clause that say something and are no condition."""
    kept = "".join(
        " " if _inside(at, negated) or letter in (TITLE, VALUE) else letter for at, letter in enumerate(text)
    )
    return " ".join(word for word in kept.split() if not set(words(word)) <= _FILLERS)
