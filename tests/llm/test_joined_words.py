"""Sentences made of the words of their data alone: no false one passes, whatever the order; quotes and lists do."""

from __future__ import annotations

import pytest

from genre.llm.grounding import grounding_problem
from genre.llm.joined_words import _grammars, false_join
from genre.llm.neutral_words import neutral_words, unsupported_words

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
TRUE = [
    (RETURN, "English", "The Return is a sequel to The Arrival."),
    (RETURN, "English", "A young cop from Boston hunts a thief who robbed the bank of her father."),
    (RETURN, "English", "A crime drama about a thief and a young cop."),
    (RETURN, "English", "This film tells the story of a cop, a thief and a father."),
    (RETURN, "English", "The mayor is blackmailed by the cop in this film."),
    (RETURN, "English", "The Return follows a young cop and a thief."),
    (BUTLER, "English", "The butler who killed the cook loves the maid."),
    (BUTLER, "English", "A mystery about a butler, a cook and a maid."),
    (GUILAI, "Chinese", "《归来》是《出发》的续集，一部犯罪电影。"),
    (GUILAI, "Chinese", "这部电影讲述了年轻的警察追捕抢劫银行的小偷的故事。"),
    (GUILAI, "Chinese", "一部关于警察和小偷的犯罪电影。"),
    (GUILAI, "Chinese", "这部电影讲述了市长被警察勒索的故事。"),
    (GUILAI, "Chinese", "这部剧情电影围绕警察与小偷。"),
]


@pytest.mark.parametrize(("data", "language", "text"), FALSE)
def test_no_sentence_in_a_false_order_passes(data: list[str], language: str, text: str) -> None:
    assert unsupported_words(text, data, language, ["This film tells the story of"]) == [], "its words are in the data"
    assert grounding_problem(text, data, language).startswith("the data do not say this")


def test_most_true_sentences_pass() -> None:
    kept = [text for data, language, text in TRUE if grounding_problem(text, data, language) == ""]
    assert len(kept) >= 12, sorted({text for _, _, text in TRUE} - set(kept))


def test_a_clause_of_the_data_may_be_quoted_in_every_language() -> None:
    assert set(_grammars()) == set(neutral_words())
    for label, language, quote in (
        ("handlung", "German", "Der Hund beißt den Mann im Garten des Nachbarn."),
        ("intrigue", "French", "Le chien mord le voisin dans le jardin de sa tante."),
        ("trama", "Spanish", "El perro muerde al vecino en el jardín de su casa."),
    ):
        data = f"{label}: {quote}"
        assert false_join(quote, [data], language) == ""
        swapped = quote.replace("Hund", "X").replace("Mann", "Hund").replace("X", "Mann")
        swapped = swapped.replace("chien", "X").replace("voisin", "chien").replace("X", "voisin")
        swapped = swapped.replace("perro", "X").replace("vecino", "perro").replace("X", "vecino")
        assert swapped != quote
        assert false_join(swapped, [data], language)
