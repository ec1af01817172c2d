"""Two catalogues whose users are the same people: a history of films asks for books."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import genre
from genre.config.reading import parse_config, read_config
from genre.config.writing import to_yaml
from genre.errors import ConfigError, DataError, DataWarning
from genre.preprocessing.cleaning import Cleaning
from genre.preprocessing.sources.catalogues import Catalogues, NamedSource
from genre.preprocessing.sources.columns import Columns
from genre.preprocessing.sources.files import Files

CONFIG = """\
name: both
data:
  kind: catalogues
  catalogues:
    - {name: films, data: {kind: files, interactions: films.csv, items: films-items.csv}}
    - {name: books, data: {kind: files, interactions: books.csv, users: people.csv}}
split: {kind: random, test: 0.2, validation: 0.1}
recommenders: [{kind: ease, regularization: 10}, {kind: popularity}]
evaluation: {k: 3, metrics: [ndcg]}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Even people like even films and even books; films and books have the same ids."""
    folder, rng = tmp_path_factory.mktemp("catalogues"), np.random.default_rng(3)
    for name, n_items in (("films", 16), ("books", 12)):
        rows = [
            f"u{user},{item},{1_600_000_000 + 60 * at}"
            for user in range(40)
            for at, item in enumerate(rng.permutation(np.arange(user % 2, n_items, 2))[:4].tolist())
        ]
        (folder / f"{name}.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]) + "\n")
    titles = [f"{item},Film {item}" for item in range(16)]
    (folder / "films-items.csv").write_text("\n".join(["item_id,title", *titles]) + "\n")
    (folder / "people.csv").write_text("user_id,country\nu0,no\nu1,se\nu99,fi\n")
    (folder / "both.yaml").write_text(CONFIG)
    return folder


def test_a_film_history_asks_for_books(folder: Path) -> None:
    run = genre.run(folder / "both.yaml", runs=folder / "runs")
    data = run.dataset
    assert (data.n_users, data.n_items) == (41, 28)
    assert set(data.items["catalogue"].to_pylist()) == {"films", "books"}
    assert data.titles()[data.item_ids.row("films:3")] == "Film 3"
    books = [name for name in data.item_ids.values.to_pylist() if name.startswith("books:")]
    for odd in (0, 1):  # of a person whom no catalogue knows
        films = [f"films:{item}" for item in range(odd, 8, 2)]
        found = run.recommender("ease").recommend(films, k=4, candidates=books).ids()
        assert {int(name.partition(":")[2]) % 2 for name in found} == {odd}
    assert run.report["best"] == "ease"


def test_the_config_is_read_written_and_keyed_by_the_files(folder: Path) -> None:
    first = read_config(folder / "both.yaml").experiment
    again = parse_config(to_yaml(read_config(folder / "both.yaml").full), "again", folder=folder).experiment
    assert first.data.fingerprint() == again.data.fingerprint()
    assert isinstance(first.data, Catalogues)
    renamed = Catalogues((first.data.catalogues[0], NamedSource("novels", first.data.catalogues[1].data)))
    assert renamed.fingerprint() != first.data.fingerprint()
    missing = Catalogues((NamedSource("a", Files(folder / "gone.csv")), NamedSource("b", Files(folder / "books.csv"))))
    assert missing.not_there() == [folder / "gone.csv"]
    for wrong in ("name: books, data", "name: 'a:b', data"):
        with pytest.raises(ConfigError, match=r"different names|without ':'"):
            parse_config(CONFIG.replace("name: films, data", wrong), "wrong", folder=folder)


def test_rows_keep_their_files_and_users_their_fields(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "films.csv").write_text("user,item,rating,country\nann,1,5,no\nben,1,4,no\n")
    (tmp_path / "books.csv").write_text("user,item,rating\nann,1,3\n,2,4\nben,2,x\ncid,1,5\n")
    sources = (Files(tmp_path / "films.csv"), Files(tmp_path / "books.csv"))
    both = Catalogues((NamedSource("films", sources[0]), NamedSource("books", sources[1])))
    with pytest.warns(DataWarning, match="row 3, column 'rating'"):
        data = genre.load(both, cleaning=Cleaning(bad_rows=0.9))
    examples = [example for step in data.report.steps for example in step.examples]
    assert {str(tmp_path / "books.csv")} == {example["file"] for example in examples}
    assert sorted(example["row"] for example in examples) == [2, 3]
    assert sorted(data.item_ids.values.to_pylist()) == ["books:1", "films:1"]
    (tmp_path / "plain.csv").write_text("user,item\nann,1\n")
    with pytest.raises(DataError, match="films and books: one has rating, the other has not"):
        genre.load(Catalogues((NamedSource("films", sources[0]), NamedSource("books", Files(tmp_path / "plain.csv")))))


def test_circumstances_are_the_same_columns_or_refused(tmp_path: Path) -> None:
    """They are kept by their places, so that a shop would be taken for a device."""
    (tmp_path / "films.csv").write_text("user,item,device,shop\nann,1,phone,north\nben,2,tv,south\n")

    def both(first: tuple[str, ...], second: tuple[str, ...]) -> Catalogues:
        columns = (Columns(context=first), Columns(context=second))
        return Catalogues(
            tuple(
                NamedSource(name, Files(tmp_path / "films.csv", columns=one))
                for name, one in zip(("films", "books"), columns, strict=True)
            )
        )

    assert genre.load(both(("device",), ("device",))).context_names == ["device"]
    for wrong in (("shop",), ("device", "shop")):
        with pytest.raises(DataError, match=r"columns.context is device and .*shop; name the same columns"):
            genre.load(both(("device",), wrong))
