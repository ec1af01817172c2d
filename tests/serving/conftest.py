"""A small world to serve: the toy data with an encoder of words, four recommenders, a store on disk."""

from __future__ import annotations

import re
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, expect, sync_playwright

from genre.arrays import Float32
from genre.data.dataset import Dataset
from genre.features.base import Encoder
from genre.log import SILENT, Log
from genre.recommenders.content import Content
from genre.recommenders.ease import EASE
from genre.recommenders.item_knn import ItemKNN
from genre.recommenders.popularity import Popularity
from genre.runs import Run
from genre.serving.events.log_table import EventStore
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.http.app import create_app
from genre.serving.http.connections import protocol_with_limits
from genre.serving.limits import Limits
from genre.serving.service import Service
from genre.testing import toy_dataset
from postgres_server import PostgresServer, missing
from watched_pages import QUIET, SIZES, Open, Watched

CHROMIUM = "/usr/bin/chromium"


@dataclass(eq=False)
class Words(Encoder):
    """Each word is a fixed random direction, a text the sum of its words."""

    dim: int = 32

    def encode_texts(self, texts: Sequence[str], *, log: Log = SILENT) -> Float32:
        out = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()):
                out[row] += np.random.default_rng(zlib.crc32(word.encode())).normal(0, 1, self.dim)
        return out


def toy_run(folder: Path, name: str = "toy", data: Dataset | None = None) -> Run:
    encoder, data = Words(), toy_dataset() if data is None else data
    data = data.with_features(items=encoder.encode(data.items))
    made = {
        "ease": EASE(10.0).fit(data),
        "content": Content().fit(data),
        "item_knn": ItemKNN().fit(data),
        "popularity": Popularity().fit(data),
    }
    return Run(folder, name, data, made, encoder)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return toy_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "events.sqlite")
    yield store
    store.close()


@pytest.fixture
def service(run: Run, sqlite: SQLiteStore) -> Service:
    made = Service([run], sqlite)
    made.warm()
    return made


@pytest.fixture(scope="session")
def chromium() -> str:
    if not Path(CHROMIUM).exists():
        missing("Chromium", "apt-get install chromium")
    return CHROMIUM


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> Iterator[EventStore]:
    import psycopg

    from genre.serving.events.postgres import PostgresStore

    with psycopg.connect(postgres_server.address, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS genre_log, genre_log_key")
    store = PostgresStore(postgres_server.address)
    yield store
    store.close()


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> EventStore:
    made: EventStore = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def reopened(request: pytest.FixtureRequest, store: EventStore, tmp_path: Path) -> Callable[[], EventStore]:
    """A second connection to the same log, as another process would have it."""

    def again() -> EventStore:
        if isinstance(store, SQLiteStore):
            made: EventStore = SQLiteStore(store.path)
        else:
            from genre.serving.events.postgres import PostgresStore

            made = PostgresStore(request.getfixturevalue("postgres_server").address)
        request.addfinalizer(made.close)
        return made

    return again


@contextmanager
def served(app: FastAPI, **limits: Any) -> Iterator[str]:
    """The app behind a real server on a free port, as `genre serve` runs it; the address."""
    protocol = protocol_with_limits(Limits(**{"connections": 100, **limits}))
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=protocol, ws="none", log_level="error", access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def serve_app() -> Callable[..., AbstractContextManager[str]]:
    return served


@pytest.fixture(scope="session")
def url(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service of the toy run behind a real server."""
    service = Service([run], SQLiteStore(tmp_path_factory.mktemp("served") / "events.sqlite"))
    service.warm()
    with served(create_app(service)) as address:
        yield address


@pytest.fixture(scope="module")  # while it is open, its event loop runs, and no test can start one
def browser(chromium: str) -> Iterator[Browser]:
    expect.set_options(timeout=20_000)  # a busy machine draws late
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        yield made
        made.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    watched: list[Watched] = []

    def open_one(
        url: str, size: str = "wide", scheme: str = "light", path: str = "/", expected: str = "", **more: Any
    ) -> Page:
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce", **more
        )
        page = context.new_page()
        watched.append(Watched(page, url, expected))
        page.goto(url + path)
        expect(page.locator("body[data-ready]")).to_be_attached()
        return page

    yield open_one
    for one in watched:
        assert one.faults() == []
        one.page.context.close()
