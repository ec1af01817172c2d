"""Sentences of the words of their data alone: no false one passes, whatever the order; whole quotes and kinds do."""

from __future__ import annotations

import pytest

from genre.data.words import words
from genre.features.augmentation_prompts import LINE_LENGTH, _whole_parts
from genre.llm.grounding import grounding_problem
from genre.llm.neutral_words import neutral_words
from genre.llm.quotes import nearest_quote, unquoted

RETURN = [
    "title: The Return (2003)",
    "genres: Crime, Drama",
    "director: Ann Lee",
    "country: France",
    "plot: The Return is a sequel to The Arrival. A young cop from Boston hunts a thief who robbed the bank of her "
    "father. The thief never wanted the money, and the mayor is blackmailed by the cop. She writes a letter from "
    "prison to her brother.",
]
BUTLER = [
    "title: The Ring",
    "genres: Mystery",
    "plot: The butler who killed the cook loves the maid. She believes that the gardener stole the ring in the garden.",
]
FALSE_OF_THE_RETURN = """\
The Arrival is a sequel to The Return.
This film tells the story of a thief who hunts a young cop.
This film tells the story of a cop who robbed the bank of her father.
A crime drama about the thief who hunts a cop from Boston.
This film tells the story of the father who robbed the bank.
The cop is blackmailed by the mayor in this film.
The mayor blackmailed the cop in this film.
This film tells the story of a young thief from Boston.
This film tells the story of a young father and a thief.
The thief wanted the money in this film.
This film tells the story of the money that the thief wanted.
This film tells the story of a thief from Boston.
This film tells the story of Ann Lee and a thief.
This film tells the story of a crime in France.
The bank hunts a thief who robbed the cop.
The cop never wanted the money in this film.
This film tells the story of a father who hunts a thief.
A thief and a cop robbed the bank of her father.
The father of the thief robbed the bank.
The young cop from Boston is a thief.
This film tells the story of the bank of the thief.
The thief hunts crime in Boston.
A cop from Boston robbed the bank.
This film tells the story of a letter to prison from her brother.
This film tells the story of a letter from her brother to prison.
The mayor hunts a thief who robbed the bank of her father.
The Return robbed the bank of her father.
This film is about the crime of the young cop.
This film tells the story of the brother who writes a letter.""".splitlines()
FALSE_OF_THE_BUTLER = """\
The cook loves the maid in this film.
This film tells the story of the cook who loves the maid.
The maid loves the butler in this film.
The gardener killed the cook in this film.
The gardener stole the ring in the garden.
This film tells the story of the cook who killed the butler.
The butler stole the ring in the garden.
The maid killed the cook in the garden.""".splitlines()
GUILAI = [
    "title: 归来",
    "genres: 犯罪, 剧情",
    "director: 李安",
    "plot: 《归来》是《出发》的续集。年轻的警察追捕抢劫银行的小偷。小偷从不想要钱，市长被警察勒索。",
]
FALSE_OF_GUILAI = """\
《出发》是《归来》的续集，一部犯罪电影。
小偷追捕年轻的警察，这是一部犯罪电影。
这部电影讲述了警察抢劫银行的故事。
这部电影讲述了小偷追捕警察的故事。
这部电影讲述了警察被市长勒索的故事。
这部电影讲述了市长勒索警察的故事。
这部电影讲述了年轻的小偷的故事。
这部电影讲述了小偷想要钱的故事。
这部电影讲述了银行追捕小偷的故事。
一部关于警察的小偷的犯罪电影。
这部电影讲述了李安和小偷的故事。
这部电影讲述了警察从不想要钱的故事。
这部电影讲述了年轻的市长被警察勒索的故事。
这部电影讲述了小偷勒索市长的故事。
这部电影讲述了市长追捕抢劫银行的小偷的故事。
这部电影讲述了小偷抢劫警察的故事。
这部电影讲述了警察犯罪的故事。""".splitlines()
FALSE = [(BUTLER, "English", text) for text in FALSE_OF_THE_BUTLER]
FALSE += [(RETURN, "English", text) for text in FALSE_OF_THE_RETURN]
FALSE += [(GUILAI, "Chinese", text) for text in FALSE_OF_GUILAI]
DOUBTFUL = [
    "title: The Heir",
    "genres: Drama",
    "plot: The heir dies in a dream of the butler. It is a lie that Mr. Holt robbed the bank. The maid loves Mr. Holt,"
    " says the cook! If the rain stops, the widow sells the house. The gardener hardly knows the widow in the "
    "U.S. Army.",
]
FALSE_OF_THE_HEIR = """\
The heir dies in this film.
This film: the heir dies.
This film: Holt robbed the bank.
This film: the maid loves Mr. Holt.
This film: the widow sells the house.
This film: if the rain stops, the heir dies in a dream of the butler.
This film: the gardener knows the widow in the U.S. Army.
A drama of this film in the Army.
This film: a drama of the butler.
The heir dies in a dream of the butler because it is a drama.
All films other than drama are for viewers of this film.
This film is based on the heir.""".splitlines()
FALSE += [(DOUBTFUL, "English", text) for text in FALSE_OF_THE_HEIR]
WELL = [
    "titel: Der Brunnen",
    "genre: Krimi",
    "handlung: Der Bäcker warnt den Müller. Die Magd verrät den Bäcker nicht.",
]
FALSE += [
    (WELL, "German", text)
    for text in (
        "Der Müller warnt den Bäcker in diesem Film.",
        "Die Magd verrät den Bäcker in diesem Film.",
        "Der Film handelt von dem Bäcker und der Magd.",
        "Der Film handelt von dem Müller, der den Bäcker warnt.",
    )
]
SNOW = ["題名: 雪の村", "ジャンル: 犯罪", "あらすじ: 村の医者が旅の商人を助ける。商人は王を殺していない。"]
FALSE += [
    (SNOW, "Japanese", text)
    for text in (
        "旅の商人が村の医者を助ける映画です。",
        "商人は王を殺している映画です。",
        "この映画は、村の商人の物語です。",
        "この映画は犯罪ではない作品です。",
    )
]
TRUE = [
    (RETURN, "English", "This film: The Return is a sequel to The Arrival."),
    (RETURN, "English", "This film: a young cop from Boston hunts a thief who robbed the bank of her father."),
    (RETURN, "English", "A crime drama: She writes a letter from prison to her brother."),
    (RETURN, "English", "The Return: a story of crime and drama."),
    (RETURN, "English", "This film is a drama from the country France."),
    (BUTLER, "English", "The butler who killed the cook loves the maid."),
    (DOUBTFUL, "English", "This film: the heir dies in a dream of the butler."),
    (DOUBTFUL, "English", "The maid loves Mr. Holt, says the cook! If the rain stops, the widow sells the house."),
    (WELL, "German", "Ein Krimi: Der Bäcker warnt den Müller."),
    (WELL, "German", "Die Magd verrät den Bäcker nicht."),
    (GUILAI, "Chinese", "《归来》是《出发》的续集。"),
    (GUILAI, "Chinese", "这部电影讲述了年轻的警察追捕抢劫银行的小偷的故事。"),
    (GUILAI, "Chinese", "一部犯罪剧情电影：小偷从不想要钱，市长被警察勒索。"),
    (SNOW, "Japanese", "村の医者が旅の商人を助ける。"),
    (SNOW, "Japanese", "この犯罪映画は、商人は王を殺していない物語です。"),
]


@pytest.mark.parametrize(("data", "language", "text"), FALSE)
def test_no_sentence_that_is_not_quoted_whole_passes(data: list[str], language: str, text: str) -> None:
    frame = ["This film: film films"]
    assert grounding_problem(text, data, language, frame=frame).startswith("the data do not say this")


@pytest.mark.parametrize(("data", "language", "text"), TRUE)
def test_whole_quotes_and_kinds_pass(data: list[str], language: str, text: str) -> None:
    assert grounding_problem(text, data, language, frame=["This film: film films"]) == ""


NEVER = {
    "English": "not no never without except only than but if other others another all less",
    "German": "nicht kein keine ohne außer andere anderen anders als aber nie weniger",
    "Dutch": "niet geen zonder behalve andere maar als nooit",
    "French": "ne pas sans sauf autre autres mais ni moins",
    "Italian": "non senza altri altre altro ma tranne",
    "Portuguese": "não sem outro outros outras mas exceto",
    "Spanish": "no sin salvo otro otros otras pero excepto",
    "Swedish": "inte utan andra men ej",
    "Chinese": "不 没 非 无 除 其他 其它 而 但 别 未",
    "Japanese": "ない ず な い 以外 ぬ",
}


@pytest.mark.parametrize("language", sorted(neutral_words()))
def test_the_words_that_are_free_cannot_turn_a_kind_into_another(language: str) -> None:
    """No denial, limit, comparison or exception: `films other than drama` are no dramas."""
    assert not set(words(NEVER[language])) & neutral_words()[language]


def test_what_is_cut_off_is_not_whole() -> None:
    assert unquoted("The man is the murderer", ["plot: A man lives. The man is the murderer"], "English")
    cut = f"A — The man is the murderer{', it seems' * 99}"[:LINE_LENGTH]
    assert (_whole_parts(cut), _whole_parts("A — B — C")) == ([], ["B", "C"])


def test_a_long_text_costs_no_long_time() -> None:
    text = " ".join(f"the {'very ' * 5}old man number {at} sees the other man." for at in range(100))
    assert unquoted(text, [f"plot: {text}"], "English") == ""


@pytest.mark.parametrize(
    ("data", "language", "text", "instead"),
    [
        (
            RETURN,
            "English",
            "This film tells the story of a thief who hunts a young cop from Boston.",
            "A young cop from Boston hunts a thief who robbed the bank of her father.",
        ),
        (
            BUTLER,
            "English",
            "This film: the cook loves the maid and killed the butler.",
            "The butler who killed the cook loves the maid.",
        ),
        (RETURN[:2], "English", "The Return is a wonderful drama of crime from 1999.", "The Return: Crime, Drama"),
        (RETURN, "English", "This film tells the story of robots in space.", ""),
        (GUILAI, "Chinese", "这部电影讲述了小偷追捕抢劫银行的警察。", "年轻的警察追捕抢劫银行的小偷。"),
    ],
)
def test_other_words_point_at_words_of_the_data(data: list[str], language: str, text: str, instead: str) -> None:
    assert nearest_quote(text, data, language) == instead
    assert grounding_problem(text, data, language, frame=["This film:"])
    said = f"This film: {instead}." if language == "English" else instead
    assert not instead or grounding_problem(said, data, language, frame=["This film:"]) == ""
