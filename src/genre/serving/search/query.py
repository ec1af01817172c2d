"""Parse a query in words: what is wanted, what is unwanted, which titles are named. Knows titles, no vectors.

The words of negation are English and Chinese; a query in another language counts as wanted as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from genre.data.titles import title_key
from genre.data.words import WORD
from genre.errors import DataError

LONGEST = 1_000  # characters of a query that are read
LONGEST_TITLE = 10  # words
TITLE = "\ue000"  # stands for a title while the rest is parsed; removed from queries

_LIKE = r"\b(?:(?<!would )(?<!['’]d )like|such as|similar to|as|loved|liked|love|watched|read)\s+(?:in\s+|the film\s+)?"
_BEFORE_TITLE = re.compile(rf"(?:{_LIKE}|[\"“«《'])$", re.I)
_ONE = r"(?:\w[\w'’]*(?:\s*,?\s+(?:and|or|nor)\s+(?!more\b)\w[\w'’]*)*)"  # a word, or several joined
_LIKE_TITLE = rf"(?:like|such as|similar to) {TITLE}"
_NOT = (
    r"nothing|no|not|without|never|except|avoid|nor|neither|hate|dislike|tired of|sick of|"
    r"(?:can['’]?t|can ?not) (?:stand|bear)|(?:don['’]?t|do not) (?:want|like)|"
    r"(?:is|are|do|does|has|have|was|must)n['’]t"
)
_END = (
    r"[,.;:!?，。；：！？]|\bbut\b|\brather\b|\b(?:and |or )?(?:no|nor|not|without|never)\b|"
    rf"(?<=\w )(?:\bmore\b|{_LIKE_TITLE})|$"
)
NEGATED = re.compile(
    rf"\bnon[-\s](?P<non>\w+)|(?P<free>\w+)-free\b"
    rf"|\b(?:less(?! than\b)|fewer|not (?:too|so|very|overly)(?: much| many)?) (?P<less>{_ONE})"
    rf"|(?:\bbut\s+)?(?:\banything but\b|\b(?:{_NOT})\b(?! (?:only|just|but)\b)|不要|不想看?|没有|别)\s*"
    rf"(?P<rest>(?:{_LIKE_TITLE})?.*?)(?={_END})",
    re.I,
)
_FILLER = re.compile(
    r"\b(?:too|very|so|really|any|anything|much|that|is|are|with|a|an|the|of|things?|stuff|like|about|please)\b", re.I
)
_POLITE = re.compile(
    r"\b(?:i|me|want|would|show|give|find|recommend|please|some|something|anything|like|more|but|and|to|with|a|an|the"
    r"|films?|movies?|books?|songs?|items?|products?|articles?)\b",
    re.I,
)
_EDGES = re.compile(r"^(?:(?:but|and|or|with|that|which)\s+)+|(?:\s+(?:but|and|or|with|that|which|a|an|the))+$", re.I)


@dataclass(frozen=True)
class Query:
    """A parsed query.

    Attributes:
        wanted: The words without what is negated.
        unwanted: Each negated piece.
        liked: Rows of items that are named.
        disliked: Rows of items that are named in a negated piece.
    """

    wanted: str
    unwanted: tuple[str, ...] = ()
    liked: tuple[int, ...] = ()
    disliked: tuple[int, ...] = ()


def clean_query(text: str) -> str:
    """Return a query without more than can be read.

    Args:
        text: The query.

    Returns:
        Its first characters, with single spaces.

    Raises:
        DataError: If the query is empty.
    """
    text = " ".join(text[:LONGEST].replace(TITLE, " ").split())
    if not text:
        raise DataError("the query is empty; say in a few words what it should be")
    return text


def parse_query(text: str, by_title: Mapping[str, int]) -> Query:
    """Parse a query.

    Args:
        text: The query.
        by_title: What `rows_by_title` returned.

    Returns:
        The parsed query.

    Raises:
        DataError: If the query is empty.
    """
    text = clean_query(text)
    text, named = find_titles(text, by_title)
    unwanted: list[str] = []
    disliked: list[int] = []
    places = [at for at, letter in enumerate(text) if letter == TITLE]
    for match in NEGATED.finditer(text):
        disliked += [row for at, row in zip(places, named, strict=True) if match.start() <= at < match.end()]
        piece = next((group for group in match.groups() if group is not None), "")
        piece = " ".join(_FILLER.sub(" ", piece.replace(TITLE, " ")).split())
        if WORD.search(piece):
            unwanted.append(piece)
    wanted = re.sub(rf"{_LIKE}{TITLE}|{TITLE}", " ", NEGATED.sub(" ", text), flags=re.I)
    pieces = [_EDGES.sub("", " ".join(piece.split())) for piece in re.split(r"[,.;:!?，。；：！？]", wanted)]
    wanted = ", ".join(piece for piece in pieces if WORD.search(_POLITE.sub("", piece)))
    liked = [row for row in dict.fromkeys(named) if row not in disliked]
    return Query(wanted, tuple(unwanted), tuple(liked), tuple(dict.fromkeys(disliked)))


def find_titles(text: str, by_title: Mapping[str, int], *, listed: bool = False) -> tuple[str, list[int]]:
    """Put `TITLE` in place of each title, the longest at a place.

    A title counts behind words such as `like` and in quotes; elsewhere from two words on, written as a title, unless it
    is the whole query: then the item itself is wanted.

    Args:
        text: A text without `TITLE`.
        by_title: What `rows_by_title` returned.
        listed: The text lists titles, so that one word with a capital may be one, too.

    Returns:
        The text, and the rows of the titles, in order.
    """
    spans = [match.span() for match in WORD.finditer(text)]
    rest, found, at, kept = "", [], 0, 0
    while at < len(spans):
        start = spans[at][0]
        cued = _BEFORE_TITLE.search(text[kept:start])
        for size in range(min(LONGEST_TITLE, len(spans) - at), 0, -1):
            end = spans[at + size - 1][1]
            row = by_title.get(title_key(text[start:end]), -1)
            spoken = size > 3 or (size > (0 if listed else 1) and not text[start:end].islower())
            if row >= 0 and (cued or (spoken and end - start < len(text))):
                found.append(row)
                rest, kept = f"{rest}{text[kept:start]}{TITLE}", end
                at += size - 1
                break
        at += 1
    return rest + text[kept:], found
