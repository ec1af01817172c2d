"""Function words: those that join others and say nothing of a thing (for, the, und, avec), by language.

The lists are in `function_words.txt`. A word of one language may name a thing in another (`door`, `die`, `son`), so the
texts decide which lists count. Knows nothing about tables or items.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import resources

from genre.data.words import UNSPACED, fold

PRESENT = 0.3  # of the function words of the commonest language: a language with fewer is not one of the texts


@functools.cache
def function_words() -> dict[str, frozenset[str]]:
    """Read the lists.

    Returns:
        Language -> its words, folded.
    """
    text = (resources.files("genre") / "data" / "function_words.txt").read_text(encoding="utf-8")
    lines = (line.partition(":") for line in text.splitlines() if line and not line.startswith("#"))
    return {language: frozenset(map(fold, words.split())) for language, _, words in lines}


def function_words_of(counts: Mapping[str, int]) -> frozenset[str]:
    """Return the function words of the languages that texts are written in.

    A language is one of theirs where its function words are at least `PRESENT` times as many as those of the language
    that has most. Scripts without spaces differ by their letters, so their lists always count.

    Args:
        counts: Number of texts that hold each folded word.

    Returns:
        The words.
    """
    lists = function_words()
    found = {language: sum(counts.get(word, 0) for word in one) for language, one in lists.items()}
    spaced = {language: found[language] for language, one in lists.items() if not UNSPACED.search("".join(one))}
    least = max(PRESENT * max(spaced.values()), 1)
    present = [language for language in lists if language not in spaced or spaced[language] >= least]
    return frozenset(word for language in present for word in lists[language])
