"""Checks of generated text: numbers, names and titles that are not in its evidence, language, form and repetition.

Knows nothing about recommending.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from genre.data.titles import title_key
from genre.data.words import COMMON_WORDS, WORD, words
from genre.llm.neutral_words import UNSPACED_LANGUAGES, is_in_script_of, neutral_words, units
from genre.llm.quotes import unquoted

_SENTENCE_END = re.compile(r"(?:^|[.!?:;\"“”«»(\[]|\n|—|–)\s*$")
_QUOTED = re.compile(r"[\"“«]([^\"”»]{2,200})[\"”»]")

NUMBER_WORDS = frozenset(
    words(
        "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
        "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion dozen"
    )
)
FREQUENT: dict[str, frozenset[str]] = {
    "English": COMMON_WORDS,
    "German": frozenset(
        words("der die das ein eine und ist von den dem im mit sich auf nicht für zu des aus einem einen auch wird")
    ),
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
"""Languages with spaces whose texts are recognised, by frequent words."""
CAPITALS = frozenset(FREQUENT) - {"German"}
"""Languages in which names begin with a capital and other words do not, so that names can be found."""
ADDRESSED = frozenset(
    words(
        "you your yours must should rank ranked recommend recommended best greatest worst ignore instruction "
        "instructions password buy click everyone everybody masterpiece"
    )
)
"""Words of advice, praise and commands, which no description of an item or a person needs."""
LONGEST = 300  # characters of a generated sentence
FEWEST_WORDS, FEWEST_CHARACTERS = 3, 8  # of a generated sentence, with spaces and without


def invented(text: str, evidence: Sequence[str]) -> list[str]:
    """Find the numbers, names and quoted titles of a text that are nowhere in its evidence.

    A sentence may open with any word: that its first letter is a capital says nothing. A text in a script without
    capitals cannot be checked and counts as invented as a whole.

    Args:
        text: A generated text.
        evidence: The texts that it was made from.

    Returns:
        What was invented; empty for a text that says nothing new.
    """
    known = {word for piece in evidence for word in words(piece)}
    whole = [form for piece in evidence for form in (" ".join(words(piece)), title_key(piece.partition(": ")[2]))]
    found = [match[0] for match in WORD.finditer(text) if not _backed(match, text, known)]
    for quoted in _QUOTED.findall(text):
        if not any(f" {' '.join(words(quoted))} " in f" {piece} " for piece in whole):
            found.append(quoted)
    return list(dict.fromkeys(found))


def _backed(match: re.Match[str], text: str, known: set[str]) -> bool:
    """Tell whether one word of the text is in the evidence, or is no number and no name."""
    word = match[0]
    root = next(iter(words(word)), word)
    if root in known or root in COMMON_WORDS:
        return True
    if any(c.isdigit() for c in word) or root in NUMBER_WORDS:
        return False
    if any(unicodedata.category(c) == "Lo" for c in word):
        return False
    if not any(c.isupper() for c in word):
        return True
    opens = bool(_SENTENCE_END.search(text[: match.start()]))
    return opens and not any(c.isupper() for c in word[1:])


def is_written_in(text: str, language: str) -> bool:
    """Tell whether a sentence looks like a language: its script, and in Latin letters a frequent word in every twelve.

    No other language of `FREQUENT` may have more of its frequent words in it.

    Args:
        text: A sentence.
        language: One of `FREQUENT`, or a language without spaces.

    Returns:
        True where it does; also for a short text of Latin letters.
    """
    if language in UNSPACED_LANGUAGES:
        return is_in_script_of(text, language)
    letters = [c for c in text if c.isalpha()]
    latin = sum("LATIN" in unicodedata.name(c, "") for c in letters)
    spoken = words(text)
    if not letters or latin < 0.9 * len(letters):
        return False
    counts = {name: sum(word in frequent for word in spoken) for name, frequent in FREQUENT.items()}
    return len(spoken) < 6 or (counts[language] * 12 >= len(spoken) and counts[language] == max(counts.values()))


def is_repetitive(text: str) -> bool:
    """Tell whether a text goes round in circles: fewer than half of its words are different ones.

    Args:
        text: Any text; one of fewer than eight words does not.

    Returns:
        True where it does.
    """
    spoken = units(text)
    return len(spoken) >= 8 and len(set(spoken)) * 2 < len(spoken)


def grounding_problem(
    text: str, evidence: Sequence[str], language: str, *, frame: Sequence[str] = (), by_words: bool = True
) -> str:
    """Check a sentence that may only say what its evidence says.

    Args:
        text: A generated sentence.
        evidence: The texts that it was made from.
        language: A language of `neutral_words.yaml`.
        frame: Texts whose words say no fact either, such as the required beginning.
        by_words: Whether it has to be made of whole quotes, kinds and neutral words; else only names, numbers, titles,
            advice and praise are found, in a language of `CAPITALS`.

    Returns:
        What is wrong with it, in words for the model; empty when nothing is.
    """
    wrong = sentence_problem(text, language)
    if wrong:
        return wrong
    if by_words:
        rest = unquoted(text, evidence, language, frame)
        return f"the data do not say this: {rest[:80]}; copy a whole sentence, or name kinds" if rest else ""
    evidence = [*evidence, *frame]
    known = {word for piece in evidence for word in words(piece)}
    addressed = [word for word in dict.fromkeys(words(text)) if word in ADDRESSED and word not in known]
    if addressed:
        return f"it gives advice or praise: {', '.join(addressed)}; say only what it is about"
    new = invented(text, evidence)
    return f"these are not in the data: {', '.join(new[:5])}" if new else ""


def emptiness_problem(text: str, evidence: Sequence[str], empty: Sequence[str], language: str) -> str:
    """Check that a text has a word of its evidence: `the user enjoys the film` is true of every user.

    Args:
        text: A generated sentence.
        evidence: The texts that it was made from.
        empty: Texts whose words do not count, such as the title and the words of the domain.
        language: A language of `neutral_words.yaml`, whose neutral words do not count either.

    Returns:
        What is wrong with it, in words for the model; empty when nothing is.
    """
    telling = {unit for piece in evidence for unit in units(piece)} - neutral_words()[language]
    telling -= {unit for piece in empty for unit in units(piece)}
    return "" if not telling or telling & set(units(text)) else "it says nothing that is in the data"


def sentence_problem(text: str, language: str) -> str:
    """Check that a text is one whole sentence of a language.

    Args:
        text: A generated text.
        language: One of `FREQUENT`, or a language without spaces.

    Returns:
        What is wrong with it, in words for the model; empty when nothing is.
    """
    if not is_written_in(text, language):
        return f"it is not in {language}"
    if is_repetitive(text):
        return "it goes round in circles"
    spaced = language not in UNSPACED_LANGUAGES
    if len(text.split()) < FEWEST_WORDS if spaced else len(text) < FEWEST_CHARACTERS:
        return "it is not a sentence"
    whole = len(text) < LONGEST and text.rstrip()[-2:-1] not in (" ", ",", "，", "、")
    return "" if whole else "it stops in the middle; be shorter"
