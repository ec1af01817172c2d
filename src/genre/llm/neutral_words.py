"""Words that say no fact, by language, and what scripts and forms of words are like.

The lists are in `prompts/neutral_words.yaml`; `quotes.py` uses them. Knows nothing about recommending.
"""

from __future__ import annotations

import functools
import re
from importlib import resources

import yaml

from genre.data.words import HAN, UNSPACED, fold, words

UNSPACED_LANGUAGES = ("Chinese", "Japanese")
KANA = re.compile(r"[\u3040-\u30ff]")
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
