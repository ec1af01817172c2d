"""Whether a generated sentence is made of whole quotes: whatever else is built of the words of its data may be false.

A sentence of the data is quoted from its beginning to its end or not at all: what a part of one says may be denied, or
said of another thing, by the rest. Other words only point at a quote. Knows nothing about recommending.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from genre.data.words import UNSPACED, fold, split_categories, words
from genre.llm.neutral_words import UNSPACED_LANGUAGES, is_form, neutral_words, units

KINDS = re.compile(
    fold("genre|categor|tag|topic|keyword|subject|theme|style|mood|类|類|題材|题材|标签|標籤|分类|ジャンル|カテゴリ")
)
"""Names of columns whose values are kinds and subjects, each of which may be named by itself, in any order."""
TITLES = re.compile(fold("title|name|titel|titre|titulo|titolo|标题|標題|片名|名|タイトル"))
"""Names of columns whose value names the item."""
TEXTS = re.compile(
    fold(
        "text|plot|descri|summar|overview|synopsis|abstract|body|content|story|lyrics|handlung|trama|简介|描述|内容|摘要|正文|あらすじ"
    )
)
"""Names of columns whose values are sentences, however short."""
BRACKETS = re.compile(r"\s*\([^()]*\)\s*$")
ENDS = re.compile(r"(?<=[!?。！？])[\"”』」)]*+(?!\s*[a-zß-öø-ÿ])|(?<=\.)[\"”)]*(?=\s|$)|\n")
"""Where a sentence may end; with a small letter behind it, speech goes on: “Who is he?” asks the cook."""
ABBREVIATION = re.compile(r"(?:\b[A-Z]\w{0,3}|\.\w+)\.[\"”)]*$")
"""A full stop behind such a word, as in `Gov.` and `U.S.`, may be none: what follows is then no sentence by itself."""
FEWEST_OF_TEXT, FEWEST_UNSPACED = 6, 12  # words, and characters, of a field without a label that is a text
LONGEST_LABEL = 3  # words


LEAST_SHARED = 0.3  # of the words that tell something, so that a sentence is what another one means


class Quotes(NamedTuple):
    """What may be said.

    Attributes:
        kinds: Kinds and subjects, which may stand among neutral words, as the next two.
        titles: The title, with and without what is in brackets behind it.
        facts: Short values with their labels.
        whole: Whole sentences.
    """

    kinds: list[str]
    titles: list[str]
    facts: list[str]
    whole: list[str]


def unquoted(text: str, evidence: Sequence[str], language: str, frame: Sequence[str] = ()) -> str:
    """Find where a sentence stops being made of quotes.

    It may have, in this order: neutral words, the title, kinds and labelled facts; whole sentences of the data; and in
    a language without spaces neutral words.

    Args:
        text: A generated sentence.
        evidence: The texts that it was made from, `label: text` or the text alone.
        language: A language of `neutral_words.yaml`.
        frame: Texts whose words count as neutral, such as the required beginning.

    Returns:
        The rest that is not quoted, as words; empty where there is none.
    """
    spaced = language not in UNSPACED_LANGUAGES
    said, quotes = _tokens(text, spaced=spaced), read_quotes(evidence, language)
    free = {*neutral_words()[language], *(word for piece in frame for word in words(piece))}
    neutral, named, sentences = (
        [_tokens(one, spaced=spaced) for one in pieces]
        for pieces in (free, [*quotes.kinds, *quotes.titles, *quotes.facts], quotes.whole)
    )
    lead = _reach(said, {0}, [*neutral, *named], forms=spaced)
    whole = _reach(said, lead, sentences)
    reached = whole if spaced else _reach(said, whole, neutral)  # whole: lead included
    rest = said[max(reached) :]
    return ("" if not spaced else " ").join(rest)


def nearest_quote(text: str, evidence: Sequence[str], language: str, *, sentences: bool = True) -> str:
    """Return what the data have instead of a sentence in words of its own.

    Args:
        text: A generated sentence.
        evidence: The texts that it was made from, `label: text` or the text alone.
        language: A language of `neutral_words.yaml`.
        sentences: Whether more than kinds is quoted.

    Returns:
        The sentence of the data that has most words in common, where these are at least LEAST_SHARED of its words, else
        the title, so found, and the kinds that the text names; empty where it names none.
    """
    quotes = read_quotes(evidence, language)
    said = set(units(text))

    def shared(quote: str) -> float:
        telling = set(units(quote)) - neutral_words()[language]
        return len(telling & said) / max(len(telling), 1)

    sentence, title = (max(pieces, key=shared, default="") for pieces in (quotes.whole, quotes.titles))
    if sentences and shared(sentence) >= LEAST_SHARED:
        return sentence.strip()
    comma = "、" if language in UNSPACED_LANGUAGES else ", "
    kinds = {fold(kind): kind for kind in reversed(quotes.kinds) if set(units(kind)) <= said}
    named = [title if sentences and shared(title) >= LEAST_SHARED else "", comma.join(reversed(kinds.values()))]
    return ": ".join(filter(None, named))


def _reach(said: list[str], begins: set[int], pieces: list[list[str]], *, forms: bool = False) -> set[int]:
    """Return the places of a sentence that any row of pieces reaches from any of these places, these included."""
    by_first: dict[str, list[list[str]]] = {}
    for piece in filter(None, pieces):
        by_first.setdefault(piece[0], []).append(piece)
    reached, open_ = set(begins), sorted(begins)
    while open_:
        at = open_.pop()
        if at == len(said):
            continue
        near = by_first.get(said[at], [])
        for piece in pieces if forms and not near else near:
            part = said[at : at + len(piece)]
            same = part == piece or (forms and len(part) == len(piece) and all(map(is_form, part, piece)))
            if piece and same and at + len(piece) not in reached:
                reached.add(at + len(piece))
                open_.append(at + len(piece))
    return reached


def read_quotes(evidence: Sequence[str], language: str) -> Quotes:
    """Divide the data into what may be named and what may be quoted.

    Args:
        evidence: The texts, `label: text` or the text alone.
        language: A language of `neutral_words.yaml`.

    Returns:
        What may be said.
    """
    spaced = language not in UNSPACED_LANGUAGES
    quotes = Quotes([], [], [], [])
    for piece in evidence:
        label, colon, value = piece.partition(": ")
        label, value = (label, value) if colon and len(label.split()) <= LONGEST_LABEL else ("", piece)
        size = len(_tokens(value, spaced=spaced))
        short = size < (FEWEST_OF_TEXT if spaced and not UNSPACED.search(value) else FEWEST_UNSPACED)
        if KINDS.search(fold(label)) or (not label and short):
            quotes.kinds.extend(split_categories(value))
        elif TITLES.search(fold(label)):
            quotes.titles.extend((value, BRACKETS.sub("", value)))
        elif short and not TEXTS.search(fold(label)) and not ENDS.search(value):
            quotes.facts.append(f"{label} {value}")
        else:
            quotes.whole.extend(filter(words, _sentences(value)))
    return quotes


def _sentences(value: str) -> Iterator[str]:
    """Yield the sentences of a text; where it is not certain that one ends, it goes on."""
    begin = 0
    for end in ENDS.finditer(value):
        if end.end() == len(value) or not ABBREVIATION.search(value[begin : end.end()]):
            yield value[begin : end.end()]
            begin = end.end()
    if not begin:  # else the rest may be cut off
        yield value


def _tokens(text: str, *, spaced: bool) -> list[str]:
    """Return the words of a text; without spaces its characters."""
    return words(text) if spaced else list("".join(words(text)))
