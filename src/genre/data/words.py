"""Words of titles, texts and categories: one splitter for every language, word forms, comparison keys."""

from __future__ import annotations

import re
import unicodedata

_NO_TEXT = re.compile(r"(^|_)(ids?|uuid|hash|url|uri|link|href|image|poster|path|zip|zip_code|postcode)$|^synthetic_")


def names_no_text(name: str) -> bool:
    """Whether a column's name says that it holds ids, addresses or the like: `image_url`, also `imageURL`."""
    return bool(_NO_TEXT.search(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()))


_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"


_NO_WORDS = re.compile(
    rf"[\W\d_]*|(https?:|www\.)\S*|\d+\W{_MONTH}\W+\d+|{_MONTH}\W+\d+\W+\d+|\d{{4}}-\d\d-\d\d[T ][\d:.]+\W?\w*", re.I
)


def says_words(text: str) -> bool:
    """Whether a value says something: it has letters, and is no address and no date."""
    return not _NO_WORDS.fullmatch(text.strip())


_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


COMMON = frozenset(
    _WORD.findall(
        "about also and are as at be because but by for from has have he her his how into is it its like of on or she "
        "that the their them they this to was what when where which while who will with you your"
    )
)
"""English words so frequent that a sentence without any of them is hardly English."""


_BRACKETS = re.compile(r"(?:\s*\([^()]*\))+\s*$")


_MOVED_ARTICLE = re.compile(r",\s+(The|A|An|L[ae]s?|L'|Il|El|Los|D[aei][rs]|Die)$", re.IGNORECASE)


def words(text: str) -> list[str]:
    """Lower-case words without accents or possessive endings, in order."""
    plain = unicodedata.normalize("NFKD", text.replace("’", "'")).casefold()
    plain = unicodedata.normalize("NFKD", plain)  # either step may give the other new work
    return [_root(word) for word in _WORD.findall("".join(c for c in plain if not unicodedata.combining(c)))]


def _root(word: str) -> str:
    return word[:-2] if word.endswith("'s") else word


def title_key(title: str) -> str:
    """A title as people say it: words alone, a moved article in front again, nothing of what stands in brackets.

    `Silence of the Lambs, The (1991)` -> `the silence of the lambs`.
    """
    bare = _BRACKETS.sub("", title).strip() or title
    moved = _MOVED_ARTICLE.search(bare)
    return " ".join(words(f"{moved[1]} {bare[: moved.start()]}" if moved else bare))


def split_categories(value: object) -> list[str]:
    """`Action|Crime`, `Action, Crime` or a list -> distinct names in order; nothing for a missing value."""
    parts = value if isinstance(value, list) else re.split(r"[|,;]", "" if value is None else str(value))
    return list(dict.fromkeys(name for part in parts if part is not None and (name := str(part).strip())))


UNSPACED_LETTER = r"[\u3040-\u30ff\u3400-\u9fff]"  # of scripts without spaces: kana and Han


def plain(text: str) -> str:
    """For comparing: no case, no accents."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


def words_of(text: str) -> set[str]:
    """Words of three letters or more, `sci-fi` being one, and single characters of scripts without spaces."""
    found = re.findall(rf"{UNSPACED_LETTER}|[^\W\d_]+(?:-[^\W\d_]+)+|[^\W\d_]{{3,}}", plain(text))
    return set(found)


UNSPACED = re.compile(f"{UNSPACED_LETTER}+")


PARTICLES = re.compile("[的了和与之在是]")  # part words without meaning anything


def _forms(word: str) -> set[str]:
    """What a word is compared by: its stem; of a run of letters without spaces, each pair of neighbours."""
    if not UNSPACED.search(word):
        return {_stem(word)}
    told = PARTICLES.sub(" ", word)
    pairs = {run[at : at + 2] for run in UNSPACED.findall(told) for at in range(max(len(run) - 1, 1))}
    return pairs | {_stem(rest) for rest in UNSPACED.sub(" ", told).split()}


def _stem(word: str) -> str:
    """violent, violence -> viol; robots -> robot; enough to find a word's other forms."""
    for ending in ("ence", "ent", "ance", "ant", "ing", "ies", "es", "s", "y"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word
