"""A query in words: what is wanted counts for an item, what is negated against it; named items stand for themselves."""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from genre.arrays import Float32
from genre.cli.main import main
from genre.data.dataset import Dataset
from genre.data.titles import rows_by_title
from genre.data.words import words
from genre.errors import DataError
from genre.features.base import Encoder, item_features
from genre.log import SILENT, Log
from genre.recommenders.ease import EASE
from genre.recommenders.popularity import Popularity
from genre.runs import Run
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.http.app import create_app
from genre.serving.requests import ListRequest, RankedList
from genre.serving.search.matching import QueryMatcher
from genre.serving.search.query import Query, parse_query
from genre.serving.service import Service
from genre.testing import toy_dataset

FILMS = [
    ("Solaris (1972)", "Sci-Fi", "slow science fiction about memory on a space station"),
    ("Alien (1979)", "Sci-Fi, Horror", "science fiction horror on a space ship"),
    ("Silence of the Lambs, The (1991)", "Thriller, Crime", "violent thriller about a killer"),
    ("Seven (Se7en) (1995)", "Thriller, Crime", "dark thriller about a killer"),
    ("Babe (1995)", "Comedy", "comedy about a pig on a farm"),
    ("Stalker (1979)", "Sci-Fi", "slow science fiction about wishes"),
    ("Robocop (1987)", "Sci-Fi, Crime", "violence and science fiction"),
    ("Love Actually (2003)", "Comedy, Romance", "comedy about love"),
    ("Star Wars (1977)", "Sci-Fi, Romance", "science fiction fairy tale in space"),
    ("Nothing to Lose (1997)", "Comedy, Crime", "comedy about a robbery"),
    ("Heat (1995)", "Crime, Thriller", "thriller about a bank robbery"),
    ("Shining, The (1980)", "Horror", "horror in a hotel"),
    ("Scream (1996)", "Horror, Thriller", "horror about a killer"),
    ("Annie Hall (1977)", "Comedy, Romance", "romance and comedy about love"),
    ("Casablanca (1942)", "Romance", "romance about love and war"),
    ("Speed (1994)", "Thriller", "thriller on a bus"),
    ("Ring (1998)", "Horror", "horror on a tape"),
    ("Emma (1996)", "Romance", "romance about love"),
]
ROW = {title: row for row, (title, _, _) in enumerate(FILMS)}


@dataclass(eq=False)
class Words(Encoder):
    """Counts words: enough to know what is near."""

    def encode_texts(self, texts: Sequence[str], *, log: Log = SILENT) -> Float32:
        out = np.zeros((len(texts), 512), np.float32)
        for row, text in enumerate(texts):
            for word in words(text):
                out[row, zlib.crc32(word.encode()) % 512] += 1
        return out


@pytest.fixture(scope="module")
def films() -> Dataset:
    data = toy_dataset(n_items=len(FILMS))
    titles, genres, texts = zip(*FILMS, strict=True)
    table = pa.table({"item_id": data.item_ids.values, "title": titles, "genres": genres, "text": texts})
    data = dataclasses.replace(data, items=table)
    return data.with_features(items=item_features(data, Words()))


@pytest.fixture(scope="module")
def service(films: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Service:
    folder = tmp_path_factory.mktemp("ask")
    models = {"ease": EASE(regularization=10.0).fit(films), "popularity": Popularity().fit(films)}
    return Service([Run(folder, "films", films, models, Words())], SQLiteStore(folder / "events.sqlite"))


def titles(answer: RankedList) -> list[str]:
    return [item["title"] for item in answer.items]


# --- taking apart --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("slow science fiction like Solaris, nothing violent", Query("slow science fiction", ("violent",), (0,))),
        ("comedies but no weddings", Query("comedies", ("weddings",))),
        ("dark thrillers like seven, not like the silence of the lambs", Query("dark thrillers", (), (3,), (2,))),
        ("not only comedies", Query("not only comedies")),
        ("anything but horror", Query("", ("horror",))),
        ("a story without too much violence; funny", Query("a story, funny", ("violence",))),
        ("something like “Babe”", Query("", (), (4,))),
        ("a babe in the woods", Query("a babe in the woods")),
        # a title ends what is negated
        ("films with no romance like Star Wars", Query("", ("romance",), (8,))),
        ("nothing violent such as Annie Hall", Query("", ("violent",), (13,))),
        ("nothing like Star Wars", Query("", (), (), (8,))),
        # a title is found before what negates
        ("something like Nothing to Lose", Query("", (), (9,))),
        ("Nothing to Lose without crime", Query("", ("crime",), (9,))),
        ("there is nothing to lose", Query("there is", ("to lose",))),
        # more ways to say no
        ("I can't stand romance; a thriller", Query("a thriller", ("romance",))),
        ("I cannot stand romance", Query("", ("romance",))),
        ("thrillers, not too scary", Query("thrillers", ("scary",))),
        ("a not too scary thriller", Query("a thriller", ("scary",))),
        ("less violence, more love", Query("more love", ("violence",))),
        ("less violence and romance", Query("", ("violence and romance",))),
        ("less violent thrillers", Query("thrillers", ("violent",))),
        ("non-violent adventure", Query("adventure", ("violent",))),
        ("nonsense in less than two hours", Query("nonsense in less than two hours")),
        ("violence-free thrillers", Query("thrillers", ("violence",))),
        ("a thriller that isn't scary", Query("a thriller", ("scary",))),
        ("thrillers with no guns and no killers", Query("thrillers", ("guns", "killers"))),
        ("neither war nor crime", Query("", ("war", "crime"))),
        ("like Alien but for grown-ups", Query("for grown-ups", (), (1,))),
        ("Star Wars", Query("Star Wars")),  # somebody looks for the film itself
        ("Star Wars, no romance", Query("", ("romance",), (8,))),
        ("tired of romance, sick of war", Query("", ("romance", "war"))),
        # nothing to be without
        ("no 😀", Query("")),
        ("thrillers, no !!!", Query("thrillers")),
        ("please no cartoons", Query("", ("cartoons",))),
        # other languages: Chinese is taken apart, any other is wanted as a whole
        ("慢的科幻片，不要暴力", Query("慢的科幻片", ("暴力",))),
        ("langsame Filme ohne Gewalt", Query("langsame Filme ohne Gewalt")),
        ("фильм о любви", Query("фильм о любви")),
    ],
)
def test_a_query_is_parsed(text: str, expected: Query) -> None:
    assert parse_query(text, rows_by_title([title for title, _, _ in FILMS])) == expected


# --- what comes of it ----------------------------------------------------------------------------------


def test_the_example_of_the_manual(service: Service) -> None:
    answer = service.recommend(ListRequest(words="slow science fiction like Solaris, nothing violent", k=18))
    found = titles(answer)
    assert found[0] == "Stalker (1979)"
    assert "Solaris (1972)" not in found, "what is named is known already"
    assert found.index("Robocop (1987)") > found.index("Alien (1979)"), "violence is violent"
    assert answer.items[0]["reason"].startswith("like Solaris (1972); shares: Sci-Fi")


class Latin(Words):
    """Sees of other scripts how long a text is, as most small encoders do."""

    def encode_texts(self, texts: Sequence[str], *, log: Log = SILENT) -> Float32:
        return super().encode_texts([text if text.isascii() else f"unknown letters {len(text)}" for text in texts])


BOOKS = [
    ("三体", "科幻小说，外星文明与地球的故事"),
    ("活着", "乡村小说，一家人的一生"),
    ("红楼梦", "古典小说，大家族的兴衰"),
    ("流浪地球", "科幻小说，人类带着地球离开太阳"),
    ("福尔摩斯探案集", "侦探小说，伦敦的谋杀案"),
    ("深夜食堂", "东京小店里的人情与料理"),
]


def test_a_query_in_a_script_that_the_encoder_does_not_read(tmp_path: Path) -> None:
    data = toy_dataset(n_items=len(BOOKS))
    names, texts = zip(*BOOKS, strict=True)
    table = pa.table({"item_id": data.item_ids.values, "title": names, "text": texts})
    books = dataclasses.replace(data, items=table)
    books = books.with_features(items=item_features(books, Latin()))
    run = Run(tmp_path, "books", books, {"popularity": Popularity().fit(books)}, Latin())
    other = Service([run], SQLiteStore(tmp_path / "events.sqlite"))
    assert set(titles(other.recommend(ListRequest(words="外星人的科幻", k=2)))) == {"三体", "流浪地球"}
    assert titles(other.recommend(ListRequest(words="料理", k=1))) == ["深夜食堂"]
    without = titles(other.recommend(ListRequest(words="小说，不要谋杀", k=6)))
    assert without[-1] == "福尔摩斯探案集"


def test_what_is_negated_takes_its_category_along(service: Service) -> None:
    """Scream's text says nothing of tapes and hotels, but it is horror as those are."""
    assert "Scream (1996)" in titles(service.recommend(ListRequest(words="a killer", k=5)))
    assert "Scream (1996)" not in titles(service.recommend(ListRequest(words="a killer, no horror in a hotel", k=5)))


def test_a_category_counts_beside_the_text(service: Service) -> None:
    """Heat says bank and robbery, of which no other has both; what it shares with thrillers decides."""
    found = service.recommend(ListRequest(words="thriller", k=5))
    assert all("Thriller" in FILMS[ROW[title]][1] for title in titles(found))
    assert all("Thriller" in item["reason"] for item in found.items)


@pytest.mark.parametrize("text", ["zzz qqq", "nothing violent", "..."])
def test_where_nothing_is_wanted_it_is_popular_and_says_so(service: Service, text: str) -> None:
    answer = service.recommend(ListRequest(words=text, k=5))
    assert answer.source == "popular"
    reason = {
        "zzz qqq": "popular with everybody; nothing fits your words",
        "nothing violent": "popular, without: violent",
    }
    assert {item["reason"] for item in answer.items} == {reason.get(text, "popular with everybody")}
    if text == "nothing violent":
        assert not {"Robocop (1987)", "Silence of the Lambs, The (1991)"} & set(titles(answer))


def test_without_what_and_a_taste_is_what_the_recommender_says(service: Service) -> None:
    alone = service.recommend(ListRequest("u0", k=18))
    answer = service.recommend(ListRequest("u0", words="nothing violent", k=18))
    assert answer.source == alone.source == "personal"
    unwanted = {"Robocop (1987)", "Silence of the Lambs, The (1991)"}
    assert not unwanted & set(titles(answer)[:5])


def test_a_taste_without_anything_in_it_changes_nothing(service: Service) -> None:
    request = ListRequest(words="science fiction in space", k=5)
    assert service.recommend(request) == service.recommend(dataclasses.replace(request, history=()))
    popular = dataclasses.replace(request, recommender="popularity", history=("i1",), exclude_seen=False)
    assert titles(service.recommend(popular)) == titles(service.recommend(request)), "the toplist is nobody's taste"


def test_what_is_named_stands_for_a_history(service: Service) -> None:
    """Even items are taken together: of those that fit alike, the ones that go with what is named come first."""
    shares = service.explain("i16", words="like Star Wars").query_parts
    other = service.explain("i11", words="like Star Wars").query_parts
    assert shares["taste"] > other["taste"]


def test_a_history_is_blended_in_and_left_out(service: Service, films: Dataset) -> None:
    history = films.history([0])
    answer = service.recommend(ListRequest("u0", words="science fiction", k=18))
    assert answer.source == "content"
    assert not {films.item_ids[row] for row in history.item} & {item["item_id"] for item in answer.items}
    only = service.recommend(ListRequest(words="science fiction", include=("i1", "i4"), k=8))
    assert {item["item_id"] for item in only.items} == {"i1", "i4"}


# --- one path ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [(), ("--history", "Alien (1979)", "i4"), ("--user", "u3")])
def test_the_command_line_says_what_the_service_says(
    service: Service, more: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "slow science fiction like Solaris, nothing violent"
    monkeypatch.setattr("genre.run_folder.read_run", lambda _, **__: service.run())
    assert main(["recommend", "runs/films", "--ask", text, "-k", "4", "--json", *more]) == 0
    said = json.loads(capsys.readouterr().out)
    body = {"ask": text, "k": 4, **({"history": ["i1", "i4"]} if "--history" in more else {})}
    body |= {"user_id": "u3"} if "--user" in more else {}
    with TestClient(create_app(service), base_url="http://localhost") as client:
        assert said == client.post("/v1/recommendations", json=body).json()["items"]


# --- whatever comes ------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(text=st.text(max_size=200))
def test_any_text_is_an_answer_or_an_error_of_ours(service: Service, text: str) -> None:
    if not text.split():
        with pytest.raises(DataError, match="empty"):
            service.recommend(ListRequest(words=text, k=3))
        return
    assert all(np.isfinite(item["score"]) for item in service.recommend(ListRequest(words=text, k=3)).items)


def test_a_catalogue_without_categories_is_matched_by_its_texts(films: Dataset, tmp_path: Path) -> None:
    bare = dataclasses.replace(films, items=films.items.drop_columns(["genres"]))
    bare = bare.with_features(items=item_features(bare, Words()))
    assert QueryMatcher(Words(), bare).categories.names == []
    service = Service(
        [Run(tmp_path, "bare", bare, {"ease": EASE().fit(bare)}, Words())], SQLiteStore(tmp_path / "events.sqlite")
    )
    assert titles(service.recommend(ListRequest(words="slow science fiction, no memory", k=1))) == ["Stalker (1979)"]


def test_without_features_the_remedy_is_named(films: Dataset) -> None:
    with pytest.raises(DataError, match="features"):
        QueryMatcher(Words(), dataclasses.replace(films, item_features=None))
