"""Does a query in words find what it describes? Forty queries on MovieLens-100K, judged by genre and by title.

    python benchmarks/ask.py [--data ../shared/data] [--each] [--output benchmarks/ask.md]

Each query lists the genres that are right, those that are forbidden and, for `like TITLE`, the titles one would hope
for. A film's genres are those of MovieLens and of its page in the film database together; GENRE gets only its own
texts: title and MovieLens genres, and in a second data set the plot as well. Queries come in pairs of a kind: the first
of each pair was looked at while the rules were made, the second is held out. `plain` embeds the words as they are and
takes the nearest items by cosine; `popular` lists the most popular items.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

import genre
from genre.data.dataset import Dataset
from genre.features.embedding import Embedding
from genre.recommenders.base import Recommender
from genre.runs import Run
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.requests import ListRequest
from genre.serving.service import Service

K = 10
VIOLENT = ("Action", "War", "Horror", "Crime")
FOR_CHILDREN = "Children's|Family|Animation"
DARK = "Thriller|Crime|Mystery|Film-Noir"


@dataclass(frozen=True)
class Query:
    """A query and what is right for it.

    Attributes:
        text: the words.
        right: an item is right when it has one genre of each entry (`A|B`).
        forbidden: genres that no item may have.
        hoped: titles that a good answer has.
        traps: titles that only share a word with the query.
    """

    text: str
    right: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    hoped: tuple[str, ...] = ()
    traps: tuple[str, ...] = ()

    @property
    def popular(self) -> bool:
        """Return whether the query does not say what to look for: the honest answer is popular items."""
        return not self.right and not self.hoped


# fmt: off
QUERIES = [
    Query("something funny to cheer me up", ("Comedy",)),
    Query("a scary movie for Halloween", ("Horror",)),
    Query("cartoons", ("Animation",)),
    Query("cowboys and gunfights in the old west", ("Western",)),
    Query("a detective solves a murder", (DARK,)),
    Query("songs and dancing", ("Musical|Music",)),
    Query("a love story", ("Romance",)),
    Query("aliens and space ships", ("Sci-Fi",)),
    Query("soldiers in battle", ("War",)),
    Query("a movie for my five year old", (FOR_CHILDREN,)),
    Query("romantic comedies", ("Romance", "Comedy")),
    Query("scary science fiction", ("Horror", "Sci-Fi")),
    Query("old black and white detective films", ("Film-Noir|Mystery|Crime",)),
    Query("an adventure the whole family can watch", ("Adventure", FOR_CHILDREN)),
    Query("slow science fiction, nothing violent", ("Sci-Fi",), VIOLENT, traps=("Speed (1994)", "Full Speed (1996)")),
    Query("a quiet drama, no war", ("Drama",), ("War", "Action")),
    Query("comedies without romance", ("Comedy",), ("Romance",)),
    Query("romance but no comedy", ("Romance",), ("Comedy",)),
    Query("thrillers, not too scary", ("Thriller",), ("Horror",)),
    Query("less violence, more love", ("Romance",), VIOLENT),
    Query("I can't stand musicals; something for children", (FOR_CHILDREN,), ("Musical",)),
    Query("non-violent adventure", ("Adventure",), VIOLENT),
    Query("science fiction, not for children", ("Sci-Fi",), ("Children's", "Family", "Animation")),
    Query("an exciting action film, nothing about war", ("Action",), ("War",)),
    Query(
        "like Star Wars",
        ("Sci-Fi|Adventure",),
        hoped=("Empire Strikes Back, The (1980)", "Return of the Jedi (1983)", "Raiders of the Lost Ark (1981)",
               "Star Trek: The Wrath of Khan (1982)", "Back to the Future (1985)"),
    ),
    Query(
        "something like Toy Story",
        (FOR_CHILDREN,),
        hoped=("Lion King, The (1994)", "Aladdin (1992)", "Babe (1995)", "Beauty and the Beast (1991)",
               "Wallace & Gromit: The Best of Aardman Animation (1996)"),
    ),
    Query("films with no romance like Star Wars", ("Sci-Fi|Adventure",), ("Romance",),
         ("Star Trek VI: The Undiscovered Country (1991)", "Stargate (1994)")),
    Query("a love story such as Casablanca, without comedy", ("Romance",), ("Comedy",),
         ("Gone with the Wind (1939)", "English Patient, The (1996)")),
    Query(
        "dark thrillers like Seven, not like The Silence of the Lambs",
        (DARK,),
        hoped=("Usual Suspects, The (1995)", "Copycat (1995)", "Kiss the Girls (1997)", "Primal Fear (1996)"),
    ),
    Query(
        "spy films like GoldenEye",
        ("Action|Thriller",),
        hoped=("Tomorrow Never Dies (1997)", "Mission: Impossible (1996)", "True Lies (1994)", "Saint, The (1997)"),
    ),
    Query(
        "dinosaurs, like Jurassic Park",
        ("Sci-Fi|Adventure",),
        hoped=("Lost World: Jurassic Park, The (1997)", "Land Before Time III: The Time of the Great Giving (1995) (V)"),
    ),
    Query(
        "gangsters like in The Godfather",
        ("Crime",),
        hoped=("Godfather: Part II, The (1974)", "GoodFellas (1990)", "Casino (1995)", "Donnie Brasco (1997)"),
    ),
    Query("nothing violent", forbidden=VIOLENT),
    Query("no horror, no thrillers", forbidden=("Horror", "Thriller")),
    Query("anything but comedy", forbidden=("Comedy",)),
    Query("please no cartoons", forbidden=("Animation",)),
    Query("zzz qqq"),
    Query("asdf jkl"),
    Query("a slow drama with long silences", ("Drama",), traps=("Silence of the Lambs, The (1991)", "Speed (1994)")),
    Query("something light for a rainy evening", ("Comedy|Romance|Musical|Music|" + FOR_CHILDREN,),
         traps=("Rainmaker, The (1997)",)),
]
# fmt: on

Answerer = Callable[[Query], tuple[list[int], str]]  # rows, best first, and the source that is claimed


@dataclass(frozen=True)
class Judged:
    right: float | None
    forbidden: int | None
    by_own_genres: int | None
    hoped: float | None
    trapped: int | None
    honest: bool | None


def judge(query: Query, rows: list[int], source: str, data: Dataset, genres: list[set[str]]) -> Judged:
    titles, own = data.titles(), own_genres(data)

    def fits(row: int) -> bool:
        return all(genres[row] & set(entry.split("|")) for entry in query.right)

    named = [titles[row] for row in rows]
    return Judged(
        right=sum(map(fits, rows)) / K if query.right else None,
        forbidden=sum(bool(genres[row] & set(query.forbidden)) for row in rows) if query.forbidden else None,
        by_own_genres=sum(bool(own[row] & set(query.forbidden)) for row in rows) if query.forbidden else None,
        hoped=sum(title in named for title in query.hoped) / len(query.hoped) if query.hoped else None,
        trapped=sum(title in named for title in query.traps) if query.traps else None,
        honest=(source == "popular") if query.popular else source != "popular",
    )


def row_of(judged: list[Judged]) -> str:
    """Return the means over the queries that have a value, a column each."""
    cells = []
    for name in ("right", "forbidden", "by_own_genres", "hoped", "trapped"):
        values = [value for one in judged if (value := getattr(one, name)) is not None]
        cells.append(f"{statistics.mean(values):.2f}")
    return " | ".join([*cells, f"{sum(bool(one.honest) for one in judged)} of {len(judged)}"])


def own_genres(data: Dataset) -> list[set[str]]:
    return [set(own.split(", ")) for own in data.items["genres"].to_pylist()]


def genres_of(data: Dataset, films: dict[str, dict[str, str]]) -> list[set[str]]:
    both = own_genres(data)
    for row, item_id in enumerate(data.item_ids.values.to_pylist()):
        both[row] |= set(films[item_id]["genres"].split(", ")) if item_id in films else set()
    return both


def with_plots(data: Dataset, films: dict[str, dict[str, str]]) -> Dataset:
    plots = [films[item_id]["plot"] if item_id in films else "" for item_id in data.item_ids.values.to_pylist()]
    return dataclasses.replace(data, items=data.items.append_column("plot", pa.array(plots)))


def popular(data: Dataset) -> Answerer:
    best = np.argsort(-np.bincount(data.item, minlength=data.n_items), kind="stable")[:K].tolist()
    return lambda query: (best, "popular")


def plain(data: Dataset, encoder: Embedding) -> Answerer:
    assert data.item_features is not None
    items = data.item_features.values

    def answer(query: Query) -> tuple[list[int], str]:
        return np.argsort(-(items @ encoder.encode_texts([query.text])[0]), kind="stable")[:K].tolist(), "content"

    return answer


def served(data: Dataset, encoder: Embedding, model: Recommender, folder: Path) -> Answerer:
    service = Service([Run(folder, "ask", data, {"ease": model}, encoder)], SQLiteStore(folder / "events.sqlite"))
    service.warm()

    def answer(query: Query) -> tuple[list[int], str]:
        found = service.recommend(ListRequest(words=query.text, k=K))
        return [data.item_ids.row(item["item_id"]) for item in found.items], found.source

    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--each", action="store_true", help="print every query with its titles")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    data, encoder = genre.load("movielens-100k"), Embedding()
    films = {film["movielens_id"]: film for film in json.loads((options.data / "ml-100k/items_info.json").read_text())}
    genres, titles = genres_of(data, films), data.titles()
    lost = [title for query in QUERIES for title in query.hoped + query.traps if title not in titles]
    assert not lost, lost
    table = [
        "| item texts | answers by | queries | right@10 | forbidden of 10 | by its own genres | hoped for | traps | honest source |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for texts, known in (("title, genres", data), ("title, genres, plot", with_plots(data, films))):
        known = known.with_features(items=encoder.encode(known.items))
        model, folder = genre.EASE(regularization=300).fit(known), Path(tempfile.mkdtemp())
        own = served(known, encoder, model, folder)
        answerers = {"popular": popular(known), "plain": plain(known, encoder), "GENRE": own}
        for name, answer in answerers.items():
            judged = []
            for query in QUERIES:
                rows, source = answer(query)
                judged.append(judge(query, rows, source, data, genres))
                if options.each and name == "GENRE":
                    print(f"\n{query.text}  [{source}]  {judged[-1]}")
                    print("".join(f"    {titles[row]}: {', '.join(sorted(genres[row]))}\n" for row in rows), end="")
            for half, part in (("looked at", judged[::2]), ("held out", judged[1::2])):
                table.append(f"| {texts} | {name} | {half} | {row_of(part)} |")
    text = "\n".join(table)
    print(text)
    if options.output:
        head = (__doc__ or "").split("\n\n")
        about = " ".join(head[2].split())
        options.output.write_text(
            f"# Search by description\n\n{head[0]}\n\n{about}\n\n`python benchmarks/ask.py --output benchmarks/ask.md`\n\n"
            f"{text}\n\nright@10: share of ten that have the genres of the query. forbidden: how many of ten have a genre "
            "that was to be left out; by its own genres: of those, how many GENRE could know from its data. hoped for: share of the titles named for `like TITLE`. traps: items that only share "
            "a word. honest source: `popular` when nothing says what to look for, and never otherwise.\n\n"
            "What falls short: one film of ten still has an unwanted genre that the film database knows and the data does "
            "not; of the titles hoped for, half are missing; a word that stands in a title still draws that title.\n"
        )


if __name__ == "__main__":
    main()
