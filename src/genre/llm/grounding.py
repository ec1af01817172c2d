"""Does a text say only what its evidence says? Numbers, names and titles that are not in the evidence are found.

Also whether a text is written in the language it was asked in. Knows nothing about recommending.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence

from genre.data.words import COMMON_WORDS, WORD, title_key, words

_SENTENCE_END = re.compile(r"(?:^|[.!?:;\"“”«»(\[]|\n|—|–)\s*$")
_QUOTED = re.compile(r"[\"“«]([^\"”»]{2,200})[\"”»]")

NUMBER_WORDS = frozenset(
    words(
        "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
        "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion dozen"
    )
)
STARTS = frozenset(
    words(
        "a an and as at based because both but by each for from given he her here his how i if in it its like my of on "
        "one or our people recommended she similar since so some that the their there these they this those though try "
        "viewers we what when while who with yes you your"
    )
)
"""Words that may open a sentence with a capital and are no name."""


FREQUENT: dict[str, frozenset[str]] = {
    "English": COMMON_WORDS,
    "Dutch": frozenset(
        words("de een en het van is dat die in te op met voor zijn aan niet door over uit ook bij naar")
    ),
    "French": frozenset(
        words("le la les un une des du et est qui que dans pour sur avec par au aux leur ses sont pas")
    ),
    "Italian": frozenset(words("il lo la gli un una di che è e per con del della dei nel nella sono suo alla da si")),
    "Portuguese": frozenset(words("o os as um uma de que e é para com do da dos das no na em por seu sua não ao")),
    "Spanish": frozenset(words("el la los las un una de que y es para con del en por su sus se no al lo como")),
    "Swedish": frozenset(words("en ett och det som är på av för med den till om har inte från vid han hon de sig")),
}
"""The languages whose texts can be checked: names begin with a capital, other words do not, and these are frequent."""


LONGEST_TITLE = 8  # words compared with the titles of the catalogue


def invented(text: str, evidence: Sequence[str], *, titles: Collection[str] = (), strict: bool = True) -> list[str]:
    """The numbers, names and titles in `text` that are nowhere in `evidence`; empty: it says nothing new.

    titles: `title_key` of all that exist; one of two words or more in the text has to be in the evidence.
    strict: a capitalised first word of a sentence is a name, too, unless it is a common one.
    A text in a script without capitals cannot be checked and counts as invented as a whole.
    """
    known = {word for piece in evidence for word in words(piece)}
    whole = [form for piece in evidence for form in (" ".join(words(piece)), title_key(piece.partition(": ")[2]))]
    found = [match[0] for match in WORD.finditer(text) if not _backed(match, text, known, strict=strict)]
    for quoted in _QUOTED.findall(text):
        if not any(f" {' '.join(words(quoted))} " in f" {piece} " for piece in whole):
            found.append(quoted)
    found += [title for title in _titles_in(text, titles) if not any(f" {title} " in f" {piece} " for piece in whole)]
    return list(dict.fromkeys(found))


def _backed(match: re.Match[str], text: str, known: set[str], *, strict: bool) -> bool:
    """Whether one word of the text is in the evidence, or is no number and no name."""
    word = match[0]
    plain = words(word)
    root = plain[0] if plain else word
    if root in known or root in COMMON_WORDS:
        return True
    if any(c.isdigit() for c in word) or root in NUMBER_WORDS:
        return False
    if any(unicodedata.category(c) == "Lo" for c in word):
        return False
    if not any(c.isupper() for c in word):
        return True
    opens = bool(_SENTENCE_END.search(text[: match.start()]))
    return opens and not any(c.isupper() for c in word[1:]) and (not strict or root in STARTS)


def _titles_in(text: str, titles: Collection[str]) -> list[str]:
    if not titles:
        return []
    spoken = words(text)
    spans = (
        " ".join(spoken[start : start + size])
        for size in range(2, LONGEST_TITLE + 1)
        for start in range(len(spoken) - size + 1)
    )
    return [span for span in spans if span in titles]


def is_written_in(text: str, language: str) -> bool:
    """Whether a sentence looks like a language of `FREQUENT`: Latin letters, a frequent word in every twelve.

    No other of these languages may have more of its words in it.
    """
    letters = [c for c in text if c.isalpha()]
    latin = sum("LATIN" in unicodedata.name(c, "") for c in letters)
    spoken = words(text)
    if not letters or latin < 0.9 * len(letters):
        return False
    counts = {name: sum(word in frequent for word in spoken) for name, frequent in FREQUENT.items()}
    return len(spoken) < 6 or (counts[language] * 12 >= len(spoken) and counts[language] == max(counts.values()))


def is_repetitive(text: str) -> bool:
    """Whether a text goes round in circles: fewer than half of its words are different ones."""
    spoken = words(text)
    return len(spoken) >= 8 and len(set(spoken)) * 2 < len(spoken)
