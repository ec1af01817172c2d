"""`genre convert`: the same data and report from its folder as from the files, and no other folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from genre.cli.main import main
from genre.config.reading import read_config
from genre.engines.duckdb import DuckDB
from genre.errors import ArtifactError
from genre.preprocessing.cleaning import Cleaning
from genre.preprocessing.loading import load
from genre.preprocessing.prepare import prepare
from genre.preprocessing.sources.converted import FACTS, Converted
from genre.storage import write_manifest

Write = Callable[..., Path]


def test_data_and_report_are_those_of_the_files(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        f"{user};{item};{user % 5 + 1},5;2001-09-{9 + user % 9:02} 01:02:03" for user in range(40) for item in "abc"
    ]
    write(
        "train.csv", "\n".join(["user;item;rating;time", *rows, "41;a;many;2001-09-09 01:02:03", ";a;1;x", "1;2;3;4;5"])
    )
    write("test.csv", "user;item;rating;time\n1;d;5,0;2002-01-01 00:00:00\n")
    write("items.csv", "item,title,tags\na,A,x|y\nb,B,\nc,C,y\nz,Cold,x\n")
    write(
        "own.yaml",
        "name: own\ndata: {kind: files, interactions: train.csv, test: test.csv, items: items.csv}\n"
        "split: {kind: given}\nrecommenders: [popularity]\n",
    )
    assert main(["convert", "own.yaml", "--output", "tables"]) == 0
    said = capsys.readouterr()
    assert "data: {kind: converted, folder: tables}" in said.out
    assert "rating" in said.err
    assert "cannot be read" in said.err
    found = []
    for source in (read_config("own.yaml").experiment.data, Converted(Path("tables"))):
        with DuckDB() as engine:
            dataset, report = prepare(source.load(engine), engine, Cleaning(bad_rows=0.5))
        found.append((dataset.fingerprint(), dataset.titles()[:4], report.as_dict()))
    assert found[0] == found[1]
    assert main(["convert", "own.yaml", "--output", "tables"]) == 2  # it is there
    write(
        "other.yaml",
        "name: own\ndata: {kind: converted, folder: tables}\nsplit: {kind: given}\nrecommenders: [popularity]\n",
    )
    assert main(["check", "other.yaml"]) == 0
    assert read_config("other.yaml").experiment.data.fingerprint() == Converted(Path("tables")).fingerprint()


def test_what_was_not_converted_or_was_changed_is_refused(tmp_path: Path, write: Write) -> None:
    data = write("data.csv", "user,item\n" + "".join(f"{user},{item}\n" for user in range(9) for item in "abc"))
    write("own.yaml", f"name: own\ndata: {{kind: files, interactions: {data}}}\nrecommenders: [popularity]\n")
    folder = tmp_path / "tables"
    assert main(["convert", str(tmp_path / "own.yaml"), "--output", str(folder)]) == 0
    assert load(Converted(folder)).fingerprint() == load(data).fingerprint()
    part = next(folder.glob("interactions/*.parquet"))
    content = part.read_bytes()
    part.write_bytes(content[:40] + bytes([content[40] ^ 1]) + content[41:])
    with pytest.raises(ArtifactError, match="damaged"):
        load(Converted(folder))
    with pytest.raises(ArtifactError, match="genre convert"):
        Converted(tmp_path).fingerprint()
    part.write_bytes(content)
    (folder / FACTS).write_text('{"rejected": 1}')
    write_manifest(folder)
    with pytest.raises(ArtifactError, match="not what this version writes"):
        load(Converted(folder))
