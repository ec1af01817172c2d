"""One splitter for titles, texts and categories: words, terms, word forms, comparison keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre.data.titles import title_key
from genre.data.words import WORD, fold, is_id_or_address, looks_like_text, split_categories, word_forms, words


def test_words_have_no_case_accent_or_possessive_ending() -> None:
    assert words("L'Été d’Amélie: the King's 2nd film") == ["l'ete", "d'amelie", "the", "king", "2nd", "film"]
    assert words("snake_case, sci-fi & 三体") == ["snake", "case", "sci", "fi", "三体"]
    assert words("…") == words("") == []


def test_a_hyphen_parts_no_term() -> None:
    found = words("Sci-Fi|Film-Noir, an off day -- X-Men 2000", terms=True)
    assert found == ["sci-fi", "film-noir", "off", "day", "x-men"]
    assert words("三体 de Cixin", terms=True) == ["三", "体", "cixin"]


def test_forms_of_a_word_meet() -> None:
    assert word_forms("violent") & word_forms("violence")
    assert word_forms("robots") == word_forms("robot") == {"robot"}
    assert word_forms("外星人的科幻x") == {"外星", "星人", "科幻", "x"}
    assert word_forms("猫") == {"猫"}


def test_split_categories() -> None:
    assert split_categories("Crime|Drama|Crime") == ["Crime", "Drama"]
    assert split_categories("Film-Noir, Children's") == ["Film-Noir", "Children's"]
    assert split_categories("动作、犯罪，历史；剧情") == ["动作", "犯罪", "历史", "剧情"]
    assert split_categories(["a", None, " b "]) == ["a", "b"]
    assert split_categories(None) == split_categories("") == []


@pytest.mark.parametrize(
    ("title", "key"),
    [
        ("Silence of the Lambs, The (1991)", "the silence of the lambs"),
        ("Misérables, Les (1995) (FR)", "les miserables"),
        ("(500)", "500"),
        ("…", ""),
    ],
)
def test_a_title_is_compared_as_people_say_it(title: str, key: str) -> None:
    assert title_key(title) == key


@pytest.mark.parametrize("value", ["Heat", "三体", "9 lives", "1984 by George"])
def test_values_that_look_like_text(value: str) -> None:
    assert looks_like_text(value)


@pytest.mark.parametrize("value", ["", " 1995 ", "https://a.b/c", "01-Jan-1995", "May 5, 1995", "2020-01-02T03:04:05Z"])
def test_values_that_do_not(value: str) -> None:
    assert not looks_like_text(value)


def test_names_of_columns_without_text() -> None:
    names = ["imdb_id", "imageURL", "zip_code", "poster", "synthetic_item", "ids"]
    assert all(map(is_id_or_address, names))
    assert not any(map(is_id_or_address, ["title", "video", "grid", "description"]))


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert words(" ".join(words(text))) == words(text)
    assert bool(words(text)) == bool(WORD.search(fold(text)))
