"""Words with part of speech, English and Chinese."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre.data.words import words
from genre.features.tokens import keywords, tokens


def test_english() -> None:
    found = {token.key: token for token in tokens("A mysterious stranger is quickly hunting two ghosts in old houses.")}
    parts = {key: token.part for key, token in found.items()}
    assert parts["mysterious"] == "adjective"
    assert parts["stranger"] == "noun"
    assert parts["is"] == "verb"
    assert parts["quickly"] == "adverb"
    assert parts["two"] == "number"
    assert parts["ghost"] == "noun", "plural nouns share a key with their singular"
    assert found["is"].stop
    assert found["a"].stop
    assert not found["ghost"].stop
    assert found["ghost"].text == "ghosts"


def test_chinese() -> None:
    parts = {token.key: token.part for token in tokens("年轻的女警察在上海追捕神秘的连环杀手，影片节奏紧张。")}
    assert parts["年轻"] == "adjective"
    assert parts["上海"] == "name"
    assert parts["追捕"] == "verb"
    assert parts["影片"] == "noun"
    assert {token.key for token in tokens("我们的电影") if token.stop} == {"我们", "的"}


def test_a_text_may_mix_both() -> None:
    assert keywords("《盗火线》Heat：洛杉矶的crime drama") == ["盗火线", "heat", "洛杉矶", "crime", "drama"]


def test_nouns_stay_that_a_search_engine_would_drop() -> None:
    assert keywords("Face cream for the home") == ["face", "cream", "home"]


@pytest.mark.parametrize(
    "text", ["", " \n", "\0", "\ud800", "😀", "שלום", "...", "/", "a" * 1_000_000, "word " * 100_000, "电" * 100_000]
)
def test_hostile_texts(text: str) -> None:
    assert isinstance(keywords(text), list)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_legal_and_keys_have_no_case(text: str) -> None:
    for token in tokens(text):
        assert token.key == token.key.casefold()
        assert token.text


def test_the_rest_of_a_contraction_is_no_keyword() -> None:
    said = "They're robots who don't know what we've seen; it’s what you’re after, and they'll rock 'n' roll."
    assert keywords(said) == ["robot", "rock", "roll"]
    assert not {"re", "don", "ve", "ll"} & set(words(said, terms=True))
