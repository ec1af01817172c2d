"""The command line: what a newcomer types, and what is said when it is wrong."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import jsonschema
import pytest
import yaml

from genre.cli.main import main
from genre.config.schema import schema
from genre.kinds import KINDS

ROOT = Path(__file__).parent.parent


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    pairs = [(user, item) for user in range(30) for item in range(20)]
    rows = [f"{user},{item},{3 + (user + item) % 3},{10_000 + user * 50 + item}" for user, item in pairs]
    Path("ratings.csv").write_text("\n".join(["user,item,rating,time", *rows]))
    Path("things.csv").write_text("\n".join(["item,title", *(f"{item},Thing {item}" for item in range(22))]))
    return tmp_path


def run_command(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(words)
    out, err = capsys.readouterr()
    return status, out, err


def test_from_files_to_recommendations(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run_command(capsys, "init", "ratings.csv", "things.csv")
    assert status == 0
    assert "next: genre run genre.yaml" in out
    text = Path("genre.yaml").read_text()
    for kind in ("als", "mlp", "content"):
        text = "\n".join(line for line in text.splitlines() if f"kind: {kind}" not in line)
    Path("genre.yaml").write_text(text.replace("{kind: embedding, model: minilm}", "{kind: tfidf, dim: 4}"))
    status, out, _ = run_command(capsys, "run", "genre.yaml", "split.validation=0.2", "--quiet")
    assert status == 2, "leave-one-out has no share of validation, and the message says so"
    Path("genre.yaml").write_text(Path("genre.yaml").read_text().replace("kind: leave-one-out", "kind: random"))
    status, out, _ = run_command(capsys, "run", "genre.yaml", "--quiet")
    assert status == 0
    assert "ndcg@10" in out
    assert "Report: " in out
    folder = next(Path("runs").glob("ratings-*/manifest.json")).parent  # init left the dataset in a folder beside it
    status, out, _ = run_command(capsys, "recommend", str(folder), "--user", "3", "-k", "2", "--json")
    rows = json.loads(out)
    assert [set(row) for row in rows] == [{"item_id", "title", "score", "reason"}] * 2
    status, out, _ = run_command(capsys, "recommend", str(folder), "--history", "Thing 1", "thing 5", "-k", "2")
    assert status == 0
    assert "Thing" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "none.yaml"], "none.yaml: cannot be read"),
        (["recommend", "runs/none", "--user", "1"], "no such run folder"),
        (["list", "recomenders"], "did you mean 'recommenders'?"),
        (["init", "none.csv"], "none.csv"),
    ],
)
def test_mistakes_are_one_line_and_status_2(
    files: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    status, out, err = run_command(capsys, *words)
    assert status == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert out == ""


def test_init_does_not_overwrite(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("genre.yaml").write_text("mine")
    status, _, err = run_command(capsys, "init", "ratings.csv")
    assert status == 2
    assert "exists" in err
    assert Path("genre.yaml").read_text() == "mine"


def test_check_and_diagram_show_the_example(capsys: pytest.CaptureFixture[str]) -> None:
    config = str(ROOT / "examples" / "movies" / "movies.yaml")
    assert "# default" in run_command(capsys, "check", config)[1]
    assert run_command(capsys, "diagram", config)[1].startswith("graph LR")


def test_check_names_the_files_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "there.csv").write_text("user,item\nu,i\n")
    config = tmp_path / "c.yaml"
    config.write_text(
        "name: x\ndata: {kind: files, interactions: there.csv, items: gone.csv}\nrecommenders: [popularity]\n"
    )
    status, out, err = run_command(capsys, "check", str(config))
    assert status == 2
    assert "# default" in out
    assert err == f"{config}: data: {tmp_path / 'gone.csv'}: no such file; check the path\n"


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*/*.yaml")), ids=lambda path: path.stem)
def test_every_example_fits_the_schema_and_loads(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jsonschema.validate(yaml.safe_load(path.read_text()), schema())
    status, out, err = run_command(capsys, "check", str(path))
    assert "# default" in out
    assert status == 0 or err.endswith("no such file; check the path\n")  # one that a script makes first


def test_the_schema_refuses_what_the_config_refuses() -> None:
    good = {"name": "x", "data": "movielens-100k", "recommenders": [{"kind": "ease", "regularization": 3}]}
    jsonschema.validate(good, schema())
    for bad in (
        {**good, "nmae": "x"},
        {**good, "recommenders": [{"kind": "ease", "regularisation": 3}]},
        {**good, "recommenders": [{"kind": "ease", "regularization": -3}]},
        {**good, "recommenders": ["eese"]},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema())


@pytest.mark.parametrize("what", [*KINDS, "metrics"])
def test_list_shows_every_section(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run_command(capsys, "list", what)
    assert status == 0
    assert all(kind in out for kind in KINDS.get(what, ()))
    if what == "recommenders":
        rows = [re.split(r" {2,}", row.strip()) for row in out.splitlines() if row.strip()]
        new_items = {row[0]: row[3] for row in rows}
        assert (new_items["ease"], new_items["ease_features"], new_items["als"]) == ("-", "yes", "with feature_weight")
        assert (new_items["bpr"], new_items["content"]) == ("-", "yes")


def test_a_disk_that_takes_no_more_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("a file where the runs should go")
    (tmp_path / "i.csv").write_text("user_id,item_id\nu,i\n")
    (tmp_path / "c.yaml").write_text("name: x\ndata: {kind: files, interactions: i.csv}\nrecommenders: [popularity]\n")
    assert main(["run", str(tmp_path / "c.yaml"), "--runs", str(tmp_path / "taken")]) == 2
    message = capsys.readouterr().err
    assert "run the same command again" in message
    assert "Traceback" not in message


def test_the_table_of_items_may_be_named_as_that_of_users(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(capsys, "init", "ratings.csv", "--items", "things.csv")[0] == 0
    assert yaml.safe_load(Path("genre.yaml").read_text())["data"]["items"] == "things.csv"
    status, _, err = run_command(
        capsys, "init", "ratings.csv", "things.csv", "--items", "things.csv", "--output", "x.yaml"
    )
    assert status == 2
    assert "two files of items" in err


def test_columns_that_no_name_tells_are_said_to_init(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = Path("ratings.csv").read_text().replace("user,item,", "user,Ware: bezeichnet,")
    Path("orders.csv").write_text(text)
    assert "set columns: {item: " in run_command(capsys, "init", "orders.csv")[2]
    words = ["init", "orders.csv", "--column", "item=Ware: bezeichnet"]
    assert run_command(capsys, *words, "--column", "rating=false")[0] == 0
    written = yaml.safe_load(Path("genre.yaml").read_text())
    assert written["data"]["columns"] == {"item": "Ware: bezeichnet", "rating": False}
    assert run_command(capsys, "check", "genre.yaml")[0] == 0
    status, _, err = run_command(capsys, "init", "orders.csv", "--output", "x.yaml", "--column", "itme=x")
    assert status == 2
    assert "user, item, rating" in err


def test_what_cannot_be_written_names_the_remedy(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["init", "ratings.csv"], ["schema"]):
        status, _, err = run_command(capsys, *words, "--output", str(files / "none" / "x"))
        assert status == 2
        assert "choose another --output" in err
        assert "Errno" not in err


def test_a_missing_config_is_all_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run"])
    assert "required: config\n" in capsys.readouterr().err


def test_overrides_may_stand_behind_options(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("c.yaml").write_text("name: x\ndata: {kind: files, interactions: ratings.csv}\nrecommenders: [popularity]\n")
    assert run_command(capsys, "run", "c.yaml", "evaluation.k=3", "--quiet", "seed=1")[0] == 0
    full = yaml.safe_load((next(Path("runs").glob("x-*")) / "config.full.yaml").read_text())
    assert (full["evaluation"]["k"], full["seed"]) == (3, 1)
    for words in (
        ["run", "c.yaml", "--quiet", "--sed=1"],
        ["audit", "x", "--", "seed=1"],
        ["run", "c.yaml", "--quiet", "c"],
    ):
        with pytest.raises(SystemExit):
            main(words)
        assert "unrecognized arguments" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["recommend", "x", "--user", "A", "B"], ["llm", "log", "a", "b"], ["check", "c", "--x"]]
)
def test_a_mistake_shows_the_usage_of_its_verb(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(words)
    verb = " ".join(words[: 2 if words[0] == "llm" else 1])
    assert capsys.readouterr().err.startswith(f"usage: genre {verb} ")


@pytest.mark.parametrize("words", [["refresh", "--accept", "b55", "RUN"], ["recommend", "--history", "A", "B", "RUN"]])
def test_where_a_run_stands_is_shown_to_who_gave_it_last(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(words)
    assert f"usage: genre {words[0]} run " in capsys.readouterr().err


def test_a_folder_that_is_no_run_is_named(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("c.yaml").write_text("name: x\ndata: {kind: files, interactions: ratings.csv}\nrecommenders: [popularity]\n")
    assert run_command(capsys, "run", "c.yaml", "--quiet")[0] == 0
    run = next(Path("runs").glob("x-*"))
    model = run / "recommenders" / "popularity" / "model"
    Path("empty").mkdir()
    for no_run in ("x-tuning", "x-unfinished", f".{run.name}.previous"):
        shutil.copytree(run, run.with_name(no_run))
    for no_run in ("x-tuning", "x-unfinished"):
        (run.with_name(no_run) / "manifest.json").unlink()
    for words in (["recommend", "{}", "--user", "1"], ["refresh", "{}"], ["compare", str(run), "{}"], ["audit", "{}"]):
        for folder, message in (
            (model, "not a run but a part of one"),
            (Path("none"), "no such run folder"),
            (Path("c.yaml"), "a file, not a run folder"),
            (Path("runs"), f"not a run folder; give one of those in it: {run.name}\n"),
            (Path("empty"), "not a run folder; give the path that `genre run` printed"),
            (Path("runs/x-tuning"), "not a run folder; give the path that `genre run` printed"),
            (Path("runs/x-unfinished"), "no manifest.json, so it was never finished"),
        ):
            status, _, err = run_command(capsys, *(word.format(folder) for word in words))
            assert (status, f"{folder.name}: {message}" in err) == (2, True), err
    status, _, err = run_command(capsys, "recommend", str(run), "--user", "nobody")
    assert f"{run}: users: unknown id 'nobody'" in err
    assert "give a history" in err
    Path("d.yaml").write_text(Path("c.yaml").read_text() + "seed: 1\nsplit: {kind: random, test: 0.5}\n")
    assert run_command(capsys, "run", "d.yaml", "--quiet")[0] == 0
    other = next(path.parent for path in Path("runs").glob("x-*/manifest.json") if path.parent != run)
    assert f"popularity of {run} and popularity of {other}" in run_command(capsys, "compare", str(run), str(other))[2]
    assert "minutes is -1" in run_command(capsys, "tune", "c.yaml", "--minutes", "-1")[2]


def test_compare_names_the_runs_what_one_alone_has_and_what_cannot_be_compared(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("c.yaml").write_text(
        "name: x\ndata: {kind: files, interactions: ratings.csv}\nrecommenders: [popularity, ease]\n"
    )
    runs: list[Path] = []
    for override in ("recommenders=[popularity]", "seed=1", "evaluation.k=5"):
        assert run_command(capsys, "run", "c.yaml", "--quiet", override)[0] == 0
        runs += [path for path in Path("runs").glob("x-*") if path not in runs]
    status, out, _ = run_command(capsys, "compare", str(runs[0]), str(runs[1]))
    assert status == 0
    assert f"{runs[0].name} minus {runs[1].name}" in out
    assert f"Only in {runs[1].name}: ease." in out
    status, out, err = run_command(capsys, "compare", str(runs[1]), str(runs[2]))
    assert (status, out) == (2, "")
    assert "share no metric with per-user values: ndcg@10, " in err
    assert " against ndcg@5, " in err
