"""Words of titles, texts and categories: one splitter for every language, word forms, comparison keys.

Knows nothing about tables, items or language models. Parts of speech are in `features/tokens.py`.
"""

from __future__ import annotations

import re
import unicodedata

HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
"""Chinese characters, as the inside of a character class of a regular expression."""
UNSPACED = re.compile(rf"[\u3040-\u30ff{HAN}]+")
"""A run of letters of a script that is written without spaces: Chinese characters and Japanese kana."""
WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
"""A word as it is written: letters and digits, apostrophes inside."""

CONTRACTION = re.compile(r"\b[^\W\d_]+n['’]t\b|(?<=\w)['’](?:re|ve|ll|d|m|s)\b", re.IGNORECASE)
"""What says nothing of a contraction: all of don't, the rest of they're."""

_TERM = re.compile(rf"{UNSPACED.pattern[:-1]}|[^\W\d_]+(?:-[^\W\d_]+)+|[^\W\d_]{{3,}}")
_PARTICLES = re.compile("[的了和与之在是]")  # Chinese function words
_ID_OR_ADDRESS = re.compile(
    r"(^|_)(ids?|uuid|hash|url|uri|link|href|image|poster|path|zip|zip_code|postcode)$|^synthetic_"
)
_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_NO_TEXT = re.compile(
    rf"[\W\d_]*|(https?:|www\.)\S*|\d+\W{_MONTH}\W+\d+|{_MONTH}\W+\d+\W+\d+|\d{{4}}-\d\d-\d\d[T ][\d:.]+\W?\w*", re.I
)


def fold(text: str) -> str:
    """Return a text for comparison: lower case, without accents, one form of each character and apostrophe.

    Args:
        text: Any text.

    Returns:
        The folded text; folding it again changes nothing.
    """
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKD", text.replace("’", "'")).casefold()
    folded = unicodedata.normalize("NFKD", folded)  # case folding can make characters that decompose further
    return "".join(letter for letter in folded if not unicodedata.combining(letter))


def words(text: str, *, terms: bool = False) -> list[str]:
    """Split a text into folded words without possessive endings, in order.

    Args:
        text: Any text.
        terms: Only words worth showing to people as what two items share: three letters or more, no numbers,
            `sci-fi` as one word, and single characters of scripts without spaces. Other users compare texts in full,
            where every word counts and a hyphen is as good as a space.

    Returns:
        The words, repeats kept.
    """
    if terms:
        return _TERM.findall(CONTRACTION.sub(" ", fold(text)))
    return [word.removesuffix("'s") for word in WORD.findall(fold(text))]


COMMON_WORDS = frozenset(
    words(
        "about also and are as at be because but by for from has have he her his how into is it its like of on or she "
        "that the their them they this to was what when where which while who will with you your"
    )
)
"""English words so frequent that a sentence without any of them is hardly English."""


def word_forms(word: str) -> set[str]:
    """Return what a word is compared by, so that its other forms match.

    Args:
        word: A folded word, as `words` returns it.

    Returns:
        Its stem; for letters of a script without spaces each pair of neighbours, since such a run is several words.
    """
    if not UNSPACED.search(word):
        return {_stem(word)}
    spaced = _PARTICLES.sub(" ", word)
    pairs = {run[at : at + 2] for run in UNSPACED.findall(spaced) for at in range(max(len(run) - 1, 1))}
    return pairs | {_stem(rest) for rest in UNSPACED.sub(" ", spaced).split()}


def _stem(word: str) -> str:
    """Cut the commonest English endings: violent, violence -> viol; robots -> robot."""
    for ending in ("ence", "ent", "ance", "ant", "ing", "ies", "es", "s", "y"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


def split_categories(value: object) -> list[str]:
    """Split a categories field into names: `Action|Crime`, `Action, Crime`, `动作、犯罪` and a list are read alike.

    Args:
        value: A text, a list, or None.

    Returns:
        Distinct names in order; none for a missing value.
    """
    parts = value if isinstance(value, list) else re.split("[|,;｜、，；]", "" if value is None else str(value))
    return list(dict.fromkeys(name for part in parts if part is not None and (name := str(part).strip())))


def looks_like_text(value: str) -> bool:
    """Tell whether a value has something to read: letters, and not as an address or a date.

    Args:
        value: One value of a text column.

    Returns:
        False for a number, an address, a date or an empty value.
    """
    return not _NO_TEXT.fullmatch(value.strip())


def is_id_or_address(column: str) -> bool:
    """Tell whether a column's name says that it holds ids, addresses or the like: `image_url`, also `imageURL`.

    Args:
        column: The name of a column.

    Returns:
        True where the values are no text for reading, whatever they look like.
    """
    return bool(_ID_OR_ADDRESS.search(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column).lower()))
