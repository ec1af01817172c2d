"""Whether a generated sentence joins the words of its data as the data do: `B is a sequel to A` is not `A is one to B`.

A clause may be a quote of a clause of the data, or a list of what is named there; nothing else, since every other order
of the same words may be false. Knows nothing about recommending.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from genre.data.words import UNSPACED, fold, split_categories, words
from genre.llm.neutral_words import UNSPACED_LANGUAGES, is_form, neutral_words
from genre.llm.phrases import read_word_lists

MARKS = re.compile(r"(?<=\D)[,.](?=\D|$)|[;:!?()，。；：！？（）–—…|/\n]|\s-\s")
BRACKETS = re.compile(r"\s*\([^()]*\)\s*$")
TITLES = re.compile(r"title|\bname|titel|titre|titulo|titolo|标题|片名|名")
"""Names of columns whose value may begin a sentence."""
NAMES = re.compile(r"genre|categor|tag|topic|keyword|subject|theme|style|mood|类|題材|题材|标签|标籤|ジャンル|分类")
"""Names of columns whose values are kinds and subjects: they may stand in any order, before other words."""
TEXTS = re.compile(
    r"text|plot|descri|summar|overview|synopsis|abstract|body|content|story|lyrics|简介|描述|内容|摘要|正文|あらすじ"
)
"""Names of columns whose values are texts, however short."""
FEWEST_OF_TEXT = 6  # words of a field that is a text; shorter ones are facts, such as `director: Mann`
LONGEST_UNIT, LONGEST_UNSPACED = 4, 6  # words, and characters, of one thing in a list


@dataclass(frozen=True)
class _Grammar:
    """Words of a language by what they do in a sentence, each folded."""

    joins: frozenset[str]
    articles: frozenset[str]
    negations: frozenset[str]
    pronouns: frozenset[str]
    prepositions: frozenset[str]
    genitives: frozenset[str]
    abouts: frozenset[str]
    determiners: frozenset[str]


@functools.cache
def _grammars() -> dict[str, _Grammar]:
    return {
        language: _Grammar(
            **{name: frozenset(map(fold, one.get(name, "").split())) for name in _Grammar.__annotations__}
        )
        for language, one in read_word_lists("grammar_words.yaml").items()
    }


@dataclass(frozen=True)
class _Data:
    """What a sentence may quote and name.

    Attributes:
        clauses: Clauses of texts, and facts with their labels, as words.
        texts: Of these, the clauses of texts without a negation, whose words may be named apart.
        names: Words of kinds and subjects.
        titles: What a sentence may begin with.
    """

    clauses: tuple[tuple[str, ...], ...]
    texts: tuple[tuple[str, ...], ...]
    names: frozenset[str]
    titles: tuple[str, ...]


def false_join(text: str, evidence: Sequence[str], language: str, frame: Sequence[str] = ()) -> str:
    """Find a clause that joins words of the data otherwise than the data do.

    Args:
        text: A generated sentence whose words are all in its data or neutral.
        evidence: The texts that it was made from, `label: text` or the text alone.
        language: A language of `neutral_words.yaml`.
        frame: Texts whose words count as neutral, such as the required beginning.

    Returns:
        The clause; empty where there is none.
    """
    grammar = _grammars()[language]
    neutral = neutral_words()[language] | {word for piece in frame for word in words(piece)}
    data = _read(evidence, grammar, language)
    for clause in filter(str.strip, MARKS.split(text)):
        after = next((clause.strip()[len(one) :] for one in data.titles if _begins_with(clause, one)), clause)
        for rest in dict.fromkeys((clause, after)):
            tokens = _tokens(rest, data, neutral, grammar, language)
            core = _without_ends(tokens, neutral)
            if not core or _is_quote(core, data, neutral, grammar, language):
                break
            if _is_list(tokens, core, data, neutral, grammar, language):
                break
        else:
            return clause.strip()
    return ""


def _begins_with(clause: str, title: str) -> bool:
    return bool(title) and re.match(rf"{re.escape(title)}(?!\w)", clause.strip(), re.IGNORECASE) is not None


def _read(evidence: Sequence[str], grammar: _Grammar, language: str) -> _Data:
    """Divide the data into clauses, and into names of kinds."""
    clauses, texts, names, titles = list[tuple[str, ...]](), list[tuple[str, ...]](), set[str](), list[str]()
    for piece in evidence:
        label, colon, value = piece.partition(": ")
        label, value = (label, value) if colon and len(label.split()) <= 3 else ("", piece)
        size = len(value) // 2 if UNSPACED.search(value) else len(words(value))
        if TITLES.search(fold(label)):
            titles.append(BRACKETS.sub("", value).strip())
        if NAMES.search(fold(label)) or (not label and size < FEWEST_OF_TEXT):
            names |= {word for name in split_categories(value) for word in words(name)}
        elif size < FEWEST_OF_TEXT and not TEXTS.search(fold(label)):
            clauses.append((*words(label), *words(value)))
        else:
            found = [tuple(words(clause)) for clause in MARKS.split(value) if clause.strip()]
            clauses += found
            texts += [clause for clause in found if not _is_negated(clause, grammar, language)]
    return _Data(tuple(clauses), tuple(texts), frozenset(names), tuple(titles))


def _is_negated(clause: Sequence[str], grammar: _Grammar, language: str) -> bool:
    """Tell whether a clause denies something."""
    if language in UNSPACED_LANGUAGES:
        return any(negation in word for word in clause for negation in grammar.negations)
    return any(word in grammar.negations or word.endswith("n't") for word in clause)


def _tokens(clause: str, data: _Data, neutral: frozenset[str], grammar: _Grammar, language: str) -> list[str]:
    """Return the words of a clause; in a script without spaces the longest pieces that are neutral or in the data.

    No piece of the data reaches over a word that joins, or that says who does what to whom.
    """
    if language not in UNSPACED_LANGUAGES:
        return words(clause)
    known = [word for one in data.clauses for word in one] + list(data.names)
    breaks = grammar.joins | grammar.pronouns
    out: list[str] = []
    for run in words(clause):
        at = 0
        while at < len(run):
            sizes = range(min(len(run) - at, LONGEST_UNSPACED), 0, -1)
            pieces = (run[at : at + size] for size in sizes)
            found = next((one for one in pieces if one in neutral or _is_piece(one, known, breaks)), run[at])
            out.append(found)
            at += len(found)
    return out


def _is_piece(piece: str, known: Sequence[str], breaks: frozenset[str]) -> bool:
    return len(piece) > 1 and not any(word in piece for word in breaks) and any(piece in word for word in known)


def _without_ends(tokens: Sequence[str], neutral: frozenset[str]) -> list[str]:
    """Return the tokens from the first to the last that is not neutral."""
    places = [at for at, token in enumerate(tokens) if token not in neutral]
    return list(tokens[places[0] : places[-1] + 1]) if places else []


def _is_quote(core: Sequence[str], data: _Data, neutral: frozenset[str], grammar: _Grammar, language: str) -> bool:
    """Tell whether a clause says a whole clause of the data, or one from a preposition on or to the next one."""
    if language in UNSPACED_LANGUAGES:
        whole_said = "".join(core)
        whole = (
            "".join(_without_ends(_tokens("".join(one), data, neutral, grammar, language), neutral))
            for one in data.clauses
        )
        return any(whole_said == one or (language == "Japanese" and one.endswith(whole_said)) for one in whole if one)
    said = [token for token in core if token not in grammar.articles]
    for clause in data.clauses:
        plain = [token for token in clause if token not in grammar.articles]
        for at in range(len(plain) - len(said) + 1):
            end = at + len(said)
            if all(_same(*pair) for pair in zip(said, plain[at:end], strict=True)):
                begins = _begins_safely(plain, at, neutral, grammar)
                ends = end == len(plain) or plain[end] in grammar.prepositions or set(plain[end:]) <= neutral
                if begins and ends and not (set(plain) - set(said)) & grammar.negations:
                    return True
    return False


def _begins_safely(plain: Sequence[str], at: int, neutral: frozenset[str], grammar: _Grammar) -> bool:
    """Tell whether what begins here stands for itself: at the beginning, or after a preposition, described or not."""
    if set(plain[:at]) <= neutral - grammar.pronouns and not set(plain[:at]) & grammar.negations:
        return True
    for before in (at - 1, at - 2, at - 3):
        if plain[before] in grammar.prepositions:
            return True
        if before <= 0 or plain[before] in neutral or plain[before] in grammar.pronouns:
            return False
    return False


def _is_list(
    tokens: Sequence[str],
    core: Sequence[str],
    data: _Data,
    neutral: frozenset[str],
    grammar: _Grammar,
    language: str,
) -> bool:
    """Tell whether a clause names things side by side: kinds first, or last where a language puts them there."""
    if set(tokens) & grammar.pronouns:
        return False
    spaced = language not in UNSPACED_LANGUAGES
    units = list(_units(core, neutral, spaced=spaced))
    for at, (unit, after) in enumerate(units):
        if not _is_unit(unit, data, spaced=spaced):
            return False
        if at + 1 == len(units):
            return True
        following = units[at + 1][0]
        kinds = [all(word in data.names for word in one) for one in (unit, following)]
        if all(kinds) or (kinds[0] and set(after) & grammar.abouts) or (kinds[1] and not spaced and after):
            continue
        if set(after) & grammar.joins and set(after) <= grammar.joins | grammar.articles | grammar.determiners:
            continue
        genitive = set(after) & grammar.genitives and set(after) <= grammar.genitives | grammar.articles
        if not (genitive and _in_a_row([*unit, *after, *following], data)):
            return False
    return True


def _in_a_row(tokens: Sequence[str], data: _Data) -> bool:
    """Tell whether a text of the data has these words one after the other."""
    size = len(tokens)
    return any(
        all(_same(*pair) for pair in zip(tokens, clause[at : at + size], strict=True))
        for clause in data.texts
        for at in range(len(clause) - size + 1)
    )


def _units(core: Sequence[str], neutral: frozenset[str], *, spaced: bool) -> Iterator[tuple[list[str], list[str]]]:
    """Yield what is named, each with the neutral words after it; without spaces each piece is a unit."""
    unit, after = list[str](), list[str]()
    for token in core:
        if token in neutral:
            after.append(token)
        else:
            if unit and (after or not spaced):
                yield unit, after
                unit, after = [], []
            unit.append(token)
    yield unit, after


def _is_unit(unit: Sequence[str], data: _Data, *, spaced: bool) -> bool:
    """Tell whether the data name this: kinds, then neighbours of a text in their order."""
    rest = list(unit)
    while rest and any(_same(rest[0], name) for name in data.names):
        rest.pop(0)
    if not rest:
        return True
    if not spaced:
        return any("".join(rest) in word for clause in data.texts for word in clause)
    return len(rest) <= LONGEST_UNIT and _in_a_row(rest, data)


def _same(one: str, other: str) -> bool:
    """Tell whether two words are equal or forms of one."""
    return one == other or is_form(one, other)
