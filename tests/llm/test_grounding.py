"""The checker: what is in the evidence passes, a title, number or name that is not does not."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from genre.data.words import words
from genre.llm.grounding import (
    CAPITALS,
    FREQUENT,
    emptiness_problem,
    grounding_problem,
    invented,
    is_repetitive,
    is_written_in,
)

EVIDENCE = ["recommended: Fargo (1996)", "liked before: Heat (1995)", "liked before: Amélie (2001)", "shares: crime"]


@pytest.mark.parametrize(
    "text",
    [
        "Because you liked Heat, you may enjoy Fargo (1996), another crime story.",
        "You liked Heat (1995) and Amelie, so here is Fargo.",
        "Since Heat's crime story was to your taste, try Fargo.",
        "you may like this one, too",
        "“Heat” is the reason.",
    ],
)
def test_what_rephrases_the_evidence_passes(text: str) -> None:
    assert invented(text, EVIDENCE) == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("Because you liked Heat (1994), try Fargo.", "1994"),
        ("With Frances McDormand in it, Fargo is for you.", "Frances"),
        ("Fans of Casino like Fargo.", "Casino"),
        ("three crime stories you liked", "three"),
        ("A friend of “the long goodbye” likes it.", "the long goodbye"),
        ("It won 2 Oscars.", "2"),
        ("rated 9/10 by viewers", "9"),
        ("因为你喜欢犯罪片", "因为你喜欢犯罪片"),
        ("because of the film by DiCaprio", "DiCaprio"),
    ],
)
def test_what_is_not_in_the_evidence_is_found(text: str, what: str) -> None:
    assert what in invented(text, EVIDENCE)


def test_a_sentence_may_open_with_any_word() -> None:
    assert invented("Criminals meet. Robbers, too.", ["a tale"]) == []
    assert invented("There Criminals meet.", ["a tale"]) == ["Criminals"]


@example(["\u2120"])  # a sign that decomposes into capitals
@given(st.lists(st.text(min_size=1), min_size=1, max_size=4))
def test_the_evidence_itself_is_never_invented(pieces: list[str]) -> None:
    for piece in pieces:
        plain = " ".join(words(piece))
        assert invented(plain, pieces) == []


def test_language_and_repetition() -> None:
    assert is_written_in("A film about a man who is lost in the woods.", "English")
    assert not is_written_in("Un film sur un homme qui est perdu dans les bois et cherche son chemin", "English")
    assert not is_written_in("Ein Film über einen Mann, der sich im Wald verirrt und seinen Weg sucht", "English")
    assert not is_written_in("一部关于迷路的人的电影", "English")
    assert not is_written_in("1985", "English")
    assert is_repetitive("a thriller, a thriller, a thriller, a thriller, a thriller")
    assert not is_repetitive("a cop hunts a thief through a city of light and glass")


SENTENCES = {
    "English": "This film tells the story of a man who is lost in the woods and looks for his way.",
    "German": "Der Film erzählt von einem Mann, der sich im Wald verirrt und den Weg zu seinem Haus sucht.",
    "Dutch": "De film gaat over een man die in het bos verdwaalt en op zoek is naar zijn weg.",
    "French": "Le film parle d'un homme qui est perdu dans les bois et qui cherche son chemin.",
    "Italian": "Il film parla di un uomo che si perde nel bosco e cerca la strada per la casa.",
    "Portuguese": "O filme fala de um homem que se perde na floresta e não encontra o caminho para a casa.",
    "Spanish": "La película habla de un hombre que se pierde en el bosque y busca el camino a su casa.",
    "Swedish": "Filmen handlar om en man som går vilse i skogen och letar efter vägen till det hus han bor i.",
}


@pytest.mark.parametrize("language", SENTENCES)
def test_languages_are_distinguished(language: str) -> None:
    assert set(SENTENCES) == set(FREQUENT)
    for other in SENTENCES:
        assert is_written_in(SENTENCES[language], other) == (other == language), other
    assert not is_written_in(
        "Filmi kertoo miehestä, joka eksyy metsään ja etsii tietään kotiin koko yön ajan.", language
    )


@pytest.mark.parametrize("language", sorted(CAPITALS))
def test_a_plain_sentence_of_each_language_says_nothing_new(language: str) -> None:
    assert invented(SENTENCES[language], []) == []


@pytest.mark.parametrize(
    "text",
    [
        "This film tells the story of a heist so good that you must rank it first.",
        "This film tells the story of a heist and is the best of its kind.",
        "This film tells the story of a heist, which everyone should see at once.",
        "This film tells the story of a heist; ignore the other films in the list.",
    ],
)
def test_a_summary_gives_no_advice_and_no_praise(text: str) -> None:
    evidence = ["plot: a heist in a bank"]
    assert grounding_problem(text, evidence, "English", by_words=False).startswith("it gives advice or praise")
    assert grounding_problem(text, evidence, "English").startswith("the data do not say this")


def test_a_word_of_praise_in_the_evidence_may_be_repeated() -> None:
    text = "This film tells the story of the best man at a wedding who is lost."
    assert grounding_problem(text, ["title: The Best Man"], "English", by_words=False) == ""


DATA = {
    "English": [
        "title: Heat (1995)",
        "genres: Crime, Drama",
        "plot: A group of professional bank robbers in Los Angeles.",
    ],
    "German": [
        "title: Metropolis (1927)",
        "genres: Drama",
        "plot: Der Sohn des Herrschers verliebt sich in eine Arbeiterin.",
    ],
    "Chinese": ["title: 卧虎藏龙", "genres: 武侠, 爱情", "plot: 一把失窃的宝剑让两位侠客和一名贵族少女相遇。"],
    "Japanese": ["title: 七人の侍", "genres: 時代劇", "plot: 貧しい農民に雇われた七人の侍が野武士から村を守る。"],
}
TRUE = [
    ("English", "This film: A group of professional bank robbers in Los Angeles."),
    ("English", "A crime drama about love."),
    ("English", "Heat follows themes of crime and love."),
    ("German", "Ein Drama: Der Sohn des Herrschers verliebt sich in eine Arbeiterin."),
    ("German", "Ein Drama über die Liebe und eine Geschichte."),
    ("Chinese", "这部电影讲述了一把失窃的宝剑让两位侠客和一名贵族少女相遇的故事。"),
    ("Chinese", "一部关于爱情的武侠爱情电影。"),
    ("Japanese", "貧しい農民に雇われた七人の侍が野武士から村を守る物語です。"),
    ("Japanese", "この映画は時代劇の物語です。"),
]
FALSE = [
    ("English", "This film tells the story of bank robbers in nineties Chicago."),
    ("English", "This film tells the story of robbers who murder a policeman."),
    ("English", "This film is a comedy about bank robbers."),
    ("English", "This film tells the story of robbers and won eleven awards."),
    ("English", "This film has no robbers in it."),
    ("English", "This film never shows a bank."),
    ("English", "This film tells the story of a heist in space."),
    ("English", "This film was made in 1996 about bank robbers."),
    ("English", "Your password is needed for this film about robbers."),
    ("German", "Der Film erzählt von dem Sohn des Herrschers, der ermordet wird."),
    ("German", "Ein Drama über einen Roboter, der sich verliebt."),
    ("German", "Der Film zeigt keine Arbeiterin und keinen Herrscher."),
    ("Chinese", "这部电影讲述了两位侠客被杀害的故事。"),
    ("Chinese", "这部电影获得了奥斯卡奖。"),
    ("Chinese", "这部电影里没有宝剑。"),
    ("Chinese", "一部关于机器人与宝剑的喜剧电影。"),
    ("Japanese", "この映画は、七人の侍が村を滅ぼす物語です。"),
    ("Japanese", "この映画に侍は登場しません。"),
    ("Japanese", "宇宙を旅する侍の物語です。"),
]


@pytest.mark.parametrize(("language", "text"), TRUE)
def test_a_sentence_of_the_data_in_any_language_is_kept(language: str, text: str) -> None:
    evidence = [*DATA[language], "Liebe" if language == "German" else "love"]
    assert grounding_problem(text, evidence, language, frame=["This film:"]) == ""
    assert emptiness_problem(text, evidence, ["title"], language) == ""


@pytest.mark.parametrize(("language", "text"), FALSE)
def test_a_false_fact_in_any_language_is_found(language: str, text: str) -> None:
    assert grounding_problem(text, DATA[language], language).startswith("the data do not say this")


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("Chinese", "これは侍の物語です。"),
        ("Japanese", "这是一部电影的故事和人生。"),
        ("Chinese", "It is a film about swords."),
        ("German", "Le film parle d'un homme qui est dans les bois."),
    ],
)
def test_another_language_is_found(language: str, text: str) -> None:
    assert grounding_problem(text, [text], language).startswith("it is not in")


def test_a_circle_and_a_fragment_are_found_without_spaces() -> None:
    assert is_repetitive("故事的故事的故事的故事的故事")
    assert grounding_problem("电影", ["电影"], "Chinese") == "it is not a sentence"
