"""The sentences that a server may hold a model to: each passes the checks, whichever the model chooses."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre.features.augmentation_prompts import PROFILE_BEGINS
from genre.llm.grounding import grounding_problem
from genre.llm.neutral_words import neutral_words
from genre.llm.quote_forms import MOST_KINDS, kinds_form, sentence_form
from sizes import sized

ENGLISH = [
    "title: Heat (1995)",
    "genres: Crime, Drama",
    'plot: A thief plans one last robbery. "He is no thief," says the cook. A detective, who sleeps badly, hunts him.',
]
CHINESE = ["片名: 活着", "类型: 剧情、历史", "简介: 一个男人失去了一切。他和妻子等待孩子们回家。"]


def test_whole_sentences_of_the_data_are_offered_and_nothing_else() -> None:
    assert sentence_form(ENGLISH, "English", "This film:")["enum"] == [
        "This film: A thief plans one last robbery.",
        "This film: A detective, who sleeps badly, hunts him.",
    ]
    assert sentence_form(CHINESE, "Chinese")["enum"] == ["一个男人失去了一切。", "他和妻子等待孩子们回家。"]
    speech = ["title: Heat", "plot: “Who is he?” asks the cook. No one knows!"]
    assert sentence_form(speech, "English")["enum"] == ["“Who is he?” asks the cook.", "No one knows!"]
    assert sentence_form(ENGLISH, "Chinese").get("enum") is None, "of another language"
    assert sentence_form(["title: Heat"], "English") == {}


@pytest.mark.parametrize(
    ("form", "evidence", "language", "frame"),
    [
        (sentence_form(ENGLISH, "English", "This film:"), ENGLISH, "English", ["This film:"]),
        (sentence_form(ENGLISH[:2], "English", "This film:"), ENGLISH, "English", ["This film:"]),
        (sentence_form(CHINESE, "Chinese"), CHINESE, "Chinese", []),
        (sentence_form(CHINESE[:2], "Chinese"), CHINESE, "Chinese", []),
        (kinds_form(["Crime", "Sci-Fi", "Crime"], "English", "This viewer likes films about "), ["Crime, Sci-Fi"],
         "English", ["This viewer likes films about", *neutral_words("taste_words")["English"]]),
        *((kinds_form(["剧情", "历史"], name, begin), ["类型: 剧情、历史"], name, neutral_words("taste_words")[name])
          for name, begin in PROFILE_BEGINS.items()),
    ],
)  # fmt: skip
@settings(max_examples=sized(20, 500))
@given(st.data())
def test_every_sentence_that_is_offered_passes(
    form: dict[str, object], evidence: list[str], language: str, frame: list[str], data: st.DataObject
) -> None:
    choices = st.sampled_from(form["enum"]) if "enum" in form else st.from_regex(str(form["pattern"]), fullmatch=True)
    said = str(data.draw(choices)).removesuffix("\n")
    assert grounding_problem(said, evidence, language, frame=frame) == "", said


def test_kinds_are_named_once_and_the_most_frequent_are_offered() -> None:
    kinds = [f"K{n}" for n in range(9)] * 2 + ["crime", "Crime (old)", "Crime", "crime"]
    pattern = kinds_form(kinds, "English", "Likes ")["pattern"]
    assert re.search(pattern, "Likes crime, K0, K1.")
    assert len(re.findall(r"K\d", pattern.partition("|")[0])) == MOST_KINDS - 1
    for wrong in ("Likes crime, crime.", "Likes K1, crime.", "Likes old.", "Likes .", "Likes crime, K0"):
        assert not re.search(pattern, wrong), wrong
