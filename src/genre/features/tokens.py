"""Words of a text with part of speech and stop words, English and Chinese. Knows nothing about items.

The script decides the language, run by run, so a text may mix both. Chinese: jieba's dictionary and HMM (rjieba).
Everything else that is written with spaces, as English: the lexicon tagger of `pattern` (textblob). Stop words:
stopwords-iso. docs/decisions/0022-tagger-and-stop-words.md compares the alternatives. For comparing texts word by word
in any language, without parts of speech, see `data/words.py`.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from genre.data.words import CONTRACTION, HAN
from genre.errors import NotAvailable

Part = Literal["noun", "name", "verb", "adjective", "adverb", "number", "other"]

CONTENT: frozenset[Part] = frozenset({"noun", "name", "verb", "adjective"})
_MARKS = re.compile(r"[\0\u3000-\u303f]")
_HAN = re.compile(rf"([{HAN}]+)")
_ENGLISH: dict[str, Part] = {
    "NNP": "name",
    "NN": "noun",
    "VB": "verb",
    "JJ": "adjective",
    "RB": "adverb",
    "CD": "number",
}
_CHINESE: dict[str, Part] = {"n": "noun", "v": "verb", "a": "adjective", "d": "adverb", "m": "number"}
_CHINESE_NAMES = frozenset({"nr", "ns", "nt", "nz", "nrt", "nrfg"})


class Token(NamedTuple):
    """A word of a text.

    Attributes:
        text: The word as it is written.
        key: For comparison: lower case, plural nouns as singular.
        part: Its part of speech.
        stop: Whether it is a stop word.
    """

    text: str
    key: str
    part: Part
    stop: bool

    @property
    def content(self) -> bool:
        """Whether the word says what the text is about."""
        return self.part in CONTENT and not self.stop


def tokens(text: str) -> list[Token]:
    """Split a text into words with part of speech, without punctuation.

    Args:
        text: Any text.

    Returns:
        The words in order.

    Raises:
        NotAvailable: A package of the `text` extra is missing.
    """
    legal = text if text.isascii() else unicodedata.normalize("NFKC", text.encode("utf-8", "replace").decode())
    out: list[Token] = []
    for at, run in enumerate(_HAN.split(_MARKS.sub(" ", legal))):
        if run.strip():
            out += _chinese(run) if at % 2 else _english(run)
    return out


def keywords(text: str) -> list[str]:
    """Return the words that say what a text is about: nouns, names, verbs and adjectives that are no stop words.

    Args:
        text: Any text.

    Returns:
        Their keys in order, repeats kept.
    """
    return [token.key for token in tokens(text) if token.content]


def _english(text: str) -> Iterator[Token]:
    """Tag words that are written with spaces."""
    known: dict[str, Any] = {}
    text = CONTRACTION.sub(" ", text)
    if "'" not in text:
        known["replace"] = {}  # no contractions: to look for each of them takes a tenth of the time
    for sentence in _tagger()[0](text, **known):
        for word, found, *_ in sentence:
            if (token := _english_token(word, found)) is not None:
                yield token


@functools.lru_cache(1 << 16)
def _english_token(word: str, found: str) -> Token | None:
    """Return the token of a word with the tag that was found; None for punctuation."""
    if not any(letter.isalnum() for letter in word):
        return None
    _, singularize, lexicon = _tagger()
    part: Part = next((part for start, part in _ENGLISH.items() if found.startswith(start)), "other")
    key = word.casefold().strip("'’-.")
    if found == "NNS" and len(key) > 3:
        key = singularize(key)
    # the list is made for search engines and has nouns (face, home, system) that may be what an item is
    stop = len(key) < 2 or (key in _stop_words("en") and not lexicon.get(key, "").startswith("NN"))
    return Token(word, key, part, stop)


def _chinese(text: str) -> Iterator[Token]:
    """Segment and tag a run of Chinese characters."""
    stop_words = _stop_words("zh")
    for word, found in _segmenter().tag(text):
        part: Part = "name" if found in _CHINESE_NAMES else _CHINESE.get(found[:1], "other")
        yield Token(word, word, part, word in stop_words)


@functools.cache
def _stop_words(language: str) -> frozenset[str]:
    """Return the stop words of a language by its ISO 639-1 code."""
    return frozenset(_installed("stopwordsiso").stopwords(language))


AS_TAGGED = "as tagged"
"""A tag set that textblob does not know: tags stay those of Penn, and are not passed through a function each."""


@functools.cache
def _tagger() -> Any:
    """Load textblob's tagger, which returns sentences of words with tags, its rule for singulars, and its lexicon."""
    _installed("textblob")
    from textblob.en import lexicon, parser
    from textblob.en.inflect import singularize

    return functools.partial(parser.parse, chunks=False, collapse=False, tagset=AS_TAGGED), singularize, lexicon


@functools.cache
def _segmenter() -> Any:
    """Load jieba's dictionary."""
    return _installed("rjieba")


def _installed(name: str) -> Any:
    """Import a package of the `text` extra."""
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise NotAvailable(f"reading words needs {name}: pip install 'genre-rec[text]'") from error
