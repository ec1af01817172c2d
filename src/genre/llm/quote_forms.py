"""The JSON Schema of a sentence that is made of quotes: a model whose server holds it to one can write nothing else.

Knows nothing about recommending.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from genre.data.words import fold
from genre.llm.base import Schema
from genre.llm.grounding import sentence_problem
from genre.llm.neutral_words import UNSPACED_LANGUAGES
from genre.llm.prompt import sanitize
from genre.llm.quotes import read_quotes

MOST_SENTENCES, MOST_KINDS = 20, 6  # that are offered
PLAIN = re.compile(r"[^\W_][\w '&/-]*")
"""A kind or title without signs that mean something in a pattern."""
ENDED = re.compile("[.!?。！？]$")
UNQUOTABLE = re.compile(r"[\"\\\\\n]")
KINDS_BEGIN = {"Chinese": "类型："}


def sentence_form(evidence: Sequence[str], language: str, opening: str = "") -> Schema:
    """Describe the sentences that may be said of an item: a whole one of its data, or its title with kinds.

    Args:
        evidence: What its data say, the title first: `label: text`.
        language: A language of `neutral_words.yaml`.
        opening: The required beginning.

    Returns:
        A JSON Schema of the sentences; empty where the data have none and no kinds.
    """
    quotes = read_quotes([sanitize(piece) for piece in evidence], language)
    whole = [ended(f"{opening} {sentence.strip()}".strip(), language) for sentence in quotes.whole]
    usable = [
        text for text in dict.fromkeys(whole) if not UNQUOTABLE.search(text) and not sentence_problem(text, language)
    ]
    if usable:
        return {"type": "string", "enum": usable[:MOST_SENTENCES]}
    title = next((one for one in quotes.titles[::-1] if PLAIN.fullmatch(one)), "")
    spaced = language not in UNSPACED_LANGUAGES
    named = f"{opening} {title}".strip() + (": " if spaced else "，")
    return kinds_form(quotes.kinds, language, named + KINDS_BEGIN.get(language, "")) if title else {}


def kinds_form(kinds: Sequence[str], language: str, opening: str) -> Schema:
    """Describe the sentences that name kinds behind a required beginning, each at most once, the most frequent first.

    Args:
        kinds: Kinds, as often as they are in the data.
        language: A language of `neutral_words.yaml`.
        opening: The required beginning, with the space behind it.

    Returns:
        A JSON Schema of the sentences; empty where there are no kinds.
    """
    spelt = {fold(kind): kind for kind in reversed(kinds)}
    named = [spelt[kind] for kind, _ in Counter(map(fold, kinds)).most_common() if PLAIN.fullmatch(spelt[kind])]
    comma, stop = (", ", r"\.") if language not in UNSPACED_LANGUAGES else ("、", "。")
    rows = [
        kind + "".join(f"({comma}{other})?" for other in named[at + 1 : MOST_KINDS])
        for at, kind in enumerate(named[:MOST_KINDS])
    ]
    return {"type": "string", "pattern": f"^{opening}({'|'.join(rows)}){stop}$"} if rows else {}


def ended(text: str, language: str) -> str:
    """Put a full stop behind a text that has none.

    Args:
        text: A sentence.
        language: Its language.

    Returns:
        The sentence with its end.
    """
    return text if ENDED.search(text) else text + ("。" if language in UNSPACED_LANGUAGES else ".")
