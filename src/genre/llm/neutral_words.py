"""Words of generated sentences that are neither in their data nor on the list of words that say no fact.

The lists are in `prompts/neutral_words.yaml`. A sentence without other words brings no fact of its own; joined_words.py
finds those that join the data in a false way. Knows nothing about recommending.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from importlib import resources

import yaml

from genre.data.words import HAN, UNSPACED, fold, words

UNSPACED_LANGUAGES = ("Chinese", "Japanese")
KANA = re.compile(r"[\u3040-\u30ff]")
LONGEST_PIECE = 12  # characters of the evidence that are matched at once, in a script without spaces
FEWEST_SHARED, LEAST_SHARE = 5, 0.6  # letters at the beginning that two forms of a word share, and of the longer one
_HAN = re.compile(f"[{HAN}]")


@functools.cache
def neutral_words(name: str = "neutral_words") -> dict[str, frozenset[str]]:
    """Read the lists of all languages.

    Args:
        name: `neutral_words`, or `taste_words`, which only a profile may say.

    Returns:
        Language -> its words, folded.
    """
    text = (resources.files("genre") / "prompts" / f"{name}.yaml").read_text(encoding="utf-8")
    lists: dict[str, str] = yaml.safe_load(text)
    return {language: frozenset(fold(word) for word in one.split()) for language, one in lists.items()}


def unsupported_words(text: str, evidence: Sequence[str], language: str, frame: Sequence[str] = ()) -> list[str]:
    """Find the words of a sentence that are neither in its evidence, in any form, nor neutral.

    Args:
        text: A generated sentence.
        evidence: The texts that it was made from.
        language: A language of `neutral_words.yaml`.
        frame: Texts whose words count as neutral, such as the required beginning.

    Returns:
        The words, each once; empty for a sentence that brings no fact of its own.
    """
    neutral = neutral_words()[language] | {word for piece in frame for word in words(piece)}
    known = {word for piece in evidence for word in words(piece)}
    found: list[str] = []
    for word in words(text):
        if word in neutral or word in known:
            continue
        if UNSPACED.search(word):
            found += _unsupported_pieces(word, " ".join(map(fold, evidence)), neutral)
        elif word.isdigit() or not any(is_form(word, other) for other in known):
            found.append(word)
    return list(dict.fromkeys(found))


def _unsupported_pieces(run: str, evidence: str, neutral: frozenset[str]) -> list[str]:
    """Return the parts of a run without spaces that are neither in the evidence nor made of neutral words."""
    found, at, open_at = list[str](), 0, -1
    while at < len(run):
        sizes = range(min(LONGEST_PIECE, len(run) - at), 0, -1)
        size = next((n for n in sizes if _is_known(run[at : at + n], evidence, neutral)), 0)
        if not size and open_at < 0:
            open_at = at
        if size and open_at >= 0:
            found, open_at = [*found, run[open_at:at]], -1
        at += size or 1
    return [*found, run[open_at:]] if open_at >= 0 else found


def _is_known(piece: str, evidence: str, neutral: frozenset[str]) -> bool:
    """Tell whether a piece is neutral or in the evidence, a single character as a word of its own."""
    if len(piece) > 1 or not _HAN.match(piece):
        return piece in neutral or (len(piece) > 1 and piece in evidence)
    return piece in neutral or re.search(f"(?<![{HAN}]){piece}(?![{HAN}])", evidence) is not None


def is_form(one: str, other: str) -> bool:
    """Tell whether two words look like forms of one: robot and robots, history and historical.

    Args:
        one: A folded word.
        other: Another one.

    Returns:
        True where they do.
    """
    short, long = sorted((one, other), key=len)
    shared = next((at for at, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    whole = shared == len(short) >= 4 and len(long) - len(short) <= 3
    return whole or (shared >= FEWEST_SHARED and shared >= LEAST_SHARE * len(long))


def is_in_script_of(text: str, language: str) -> bool:
    """Tell whether a text is in the script of a language without spaces: half of its letters, Japanese with kana.

    Args:
        text: A sentence.
        language: One of `UNSPACED_LANGUAGES`.

    Returns:
        True where it is.
    """
    letters = [letter for letter in text if letter.isalpha()]
    kana = sum(bool(KANA.match(letter)) for letter in letters)
    han = sum(bool(_HAN.match(letter)) for letter in letters)
    return bool(letters) and (kana + han) * 2 >= len(letters) and (kana > 0) == (language == "Japanese")


def units(text: str) -> list[str]:
    """Split a text into what is counted and compared: words, and pairs of neighbours in a script without spaces.

    Args:
        text: Any text.

    Returns:
        The units, in order.
    """
    out: list[str] = []
    for word in words(text):
        if UNSPACED.search(word):
            out += [word[at : at + 2] for at in range(max(len(word) - 1, 1))]
        else:
            out.append(word)
    return out
