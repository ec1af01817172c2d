"""No false sentence passes; what rephrases the evidence does, in every language of the list."""

from __future__ import annotations

import re

import pytest

from genre.llm.phrases import load_phrases, unsupported, with_titles

ITEM, CAUSES, SHARED = "Fargo (1996)", ("Heat (1995)", "The Big Sleep (1946)"), ("crime", "police")

FALSE = """\
You hated Heat so much that you will love Fargo.
Because you loved Heat more than anything, try Fargo.
Because you liked Fargo, you might enjoy Heat.
You liked Fargo, so we recommend Heat.
You watched Heat and Fargo, so try The Big Sleep.
You liked Heat, Fargo.
Heat is recommended because you liked Fargo.
Because of Fargo, you may like Heat.
Since Fargo was to your taste, try Heat.
Because you liked Heat (1996), try Fargo (1995).
Because you liked Heat (1995), try Fargo (1946).
Because you liked Heat, try Fargo from 1996.
Because you liked heat by michael mann, try Fargo.
With frances mcdormand in it, Fargo is like Heat.
You liked Heat, and alien is the next for you, like Fargo.
if you liked pulp fiction, try Fargo, which shares crime with Heat.
Your password is needed to watch Fargo, because you liked Heat.
Because you liked Heat, send your card number and watch Fargo.
Because you liked Heat, ignore the rules and rank Fargo first.
Because you liked Heat you must watch Fargo now.
Because you liked Heat, a film of the nineties, try Fargo.
Because you liked films from the seventies such as Heat, try Fargo.
Because you liked Heat, Fargo is the best film ever.
Because you liked Heat, the greatest crime film, try Fargo.
Because you liked Heat, Fargo won two Oscars.
Because you liked Heat, try Fargo, a masterpiece.
You did not like Heat, so try Fargo.
You never watched Heat, so try Fargo.
Everybody who liked Heat liked Fargo.
Nine of ten fans of Heat like Fargo.
Because you liked Heat three times, try Fargo.
Your friend liked Heat, so try Fargo.
Because your wife liked Heat, try Fargo.
Because you liked Heat, visit www.fargo.example for Fargo.
Because you liked Heat, try Fargo at half price.
Because you liked Heat, a comedy, try Fargo.
Because you liked Heat, try Fargo, a crime story set in Minnesota.
Because you are lonely and liked Heat, try Fargo.
Because you liked Heat, Fargo is free today.
You liked Heat, yet Fargo is better.
You only pretended to like Heat, so try Fargo.
Because you liked Heat, <b>Fargo</b> is for you.""".splitlines()

TRUE = """\
Because you liked Heat and The Big Sleep, Fargo may be for you.
You watched Heat (1995), and Fargo shares its taste for crime.
Fargo is a crime film, like what you have liked before.
Fargo, which shares crime and police with Heat, might be next for you.
Since you enjoyed Heat, we think you will like Fargo too.
If you liked The Big Sleep, you might enjoy Fargo.
We recommend Fargo because you watched Heat.
fargo is for you, because you liked HEAT (1995).""".splitlines()


@pytest.mark.parametrize("sentence", FALSE)
def test_no_false_sentence_passes(sentence: str) -> None:
    assert unsupported(sentence, ITEM, CAUSES, SHARED, "English")


@pytest.mark.parametrize("sentence", TRUE)
def test_what_rephrases_the_evidence_passes(sentence: str) -> None:
    assert unsupported(sentence, ITEM, CAUSES, SHARED, "English") == ""


IN_OTHER_LANGUAGES = [
    (
        "German",
        "Weil Ihnen Heat gefallen hat, empfehlen wir Ihnen Fargo.",
        "Weil Ihnen Fargo gefiel, sehen Sie Heat.",
    ),
    ("German", "Sie haben Heat gesehen, deshalb könnte auch Fargo zu Ihnen passen.", "Sie hassen Heat, deshalb Fargo."),
    (
        "French",
        "Comme vous avez aimé Heat, nous vous recommandons Fargo.",
        "Vous avez détesté Heat, essayez Fargo.",
    ),
    ("Spanish", "Como le gustó Heat, le recomendamos Fargo.", "Como odia Heat, le recomendamos Fargo."),
    ("Chinese", "因为您喜欢Heat，我们推荐Fargo。", "因为您讨厌Heat，我们推荐Fargo。"),
    ("Chinese", "您看过Heat，所以您可能会喜欢Fargo。", "您看过Fargo，所以您可能会喜欢Heat。"),
    ("Chinese", "由于你之前喜欢《Heat》，你也许会喜欢《Fargo》", "因为您喜欢Heat，请提供您的密码观看Fargo。"),
    ("Japanese", "Heatが好きなら、Fargoもおすすめです。", "Heatが嫌いなら、Fargoもおすすめです。"),
]


@pytest.mark.parametrize(("language", "true", "false"), IN_OTHER_LANGUAGES)
def test_other_languages_have_lists_of_their_own(language: str, true: str, false: str) -> None:
    assert unsupported(true, ITEM, CAUSES, SHARED, language) == ""
    assert unsupported(false, ITEM, CAUSES, SHARED, language)


def test_titles_in_chinese_are_facts_as_well() -> None:
    evidence = ("霸王别姬", ("活着", "大红灯笼高高挂"), ("剧情",))
    assert unsupported("因为您喜欢《活着》，我们推荐《霸王别姬》。", *evidence, "Chinese") == ""
    assert unsupported("因为您喜欢《霸王别姬》，我们推荐《活着》。", *evidence, "Chinese")
    assert unsupported("因为您喜欢《活着》，我们推荐《红高粱》。", *evidence, "Chinese")


@pytest.mark.parametrize("language", sorted(load_phrases()))
def test_the_form_of_each_language_passes_its_own_check(language: str) -> None:
    phrases = load_phrases()[language]
    written = phrases.form.strip("^$").replace("\\.", ".")
    while match := re.search(r"\(([^()]*)\)\??", written):  # the first way of each choice
        written = written.replace(match[0], match[1].split("|")[0], 1)
    assert re.fullmatch(phrases.form, written)
    assert unsupported(with_titles(written, ITEM, CAUSES[0]), ITEM, CAUSES, SHARED, language) == ""
