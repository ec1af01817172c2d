"""Several shops as several processes behind one proxy, as docs/how-to/shops.md sets them up: nothing crosses over."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from genre.errors import StoreError
from genre.serving.events.deletion import Deletion
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.events.store import Event

SHOP = """
import sys
from pathlib import Path
from genre.recommenders.ease import EASE
from genre.runs import Run
from genre.serving.http.server import serve
from genre.testing import toy_dataset
folder, port = Path(sys.argv[1]), int(sys.argv[2])
data = toy_dataset()
run = Run(folder / "runs" / f"{folder.name}-1a2b3c4d", folder.name, data, {"ease": EASE(10.0).fit(data)})
serve([run], port=port, api_keys=folder / "genre.keys")
"""


class Proxy:
    """Sends a request to the process of its host, with that host; a name that no shop has ends here."""

    def __init__(self, ports: dict[str, int]) -> None:
        self.ports = ports
        self.client = httpx.Client(timeout=30)

    def send(self, host: str, key: str, method: str, path: str, **body: Any) -> httpx.Response:
        port = self.ports.get(host)
        if port is None:
            return httpx.Response(421)
        headers = {"host": host, "authorization": f"Bearer {key}", "x-forwarded-for": "10.0.0.1"}
        return self.client.request(method, f"http://127.0.0.1:{port}{path}", headers=headers, **body)


def begin(folder: Path, port: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", SHOP, str(folder), str(port)], stderr=subprocess.PIPE, text=True)


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    proxy, shops = Proxy({}), []
    for name in ("books", "music"):
        folder = tmp_path / name
        (folder / "runs").mkdir(parents=True, mode=0o700)
        keys = folder / "genre.keys"
        keys.touch(0o600)
        keys.write_text(f"the-key-of-{name}-alone\n")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = proxy.ports[f"{name}.example.org"] = free.getsockname()[1]
        shops.append(begin(folder, port))
    try:
        for shop, port in zip(shops, proxy.ports.values(), strict=True):
            until = time.monotonic() + 120
            while True:
                assert shop.poll() is None
                assert time.monotonic() < until
                with contextlib.suppress(httpx.TransportError):
                    if httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200:
                        break
                time.sleep(0.05)
        yield proxy
    finally:
        for shop in shops:
            shop.terminate()
        for shop in shops:
            shop.communicate(timeout=60)


BOOKS, MUSIC = ("books.example.org", "the-key-of-books-alone"), ("music.example.org", "the-key-of-music-alone")


def entries(folder: Path) -> list[Any]:
    with contextlib.closing(SQLiteStore(folder / "runs" / f"{folder.name}.events.sqlite")) as store:
        return [entry for entry in store.entries() if isinstance(entry, Event | Deletion)]


def test_keys_logs_erasures_and_metrics_stay_in_their_shop(proxy: Proxy, tmp_path: Path) -> None:
    # keys
    for (host, key), (_, other) in ((BOOKS, MUSIC), (MUSIC, BOOKS)):
        assert proxy.send(host, key, "GET", "/v1/users/u0/recommendations").status_code == 200
        for method, path in (
            ("GET", "/v1/users/u0/recommendations"), ("GET", "/v1/users/u0"), ("GET", "/metrics"),
            ("DELETE", "/v1/users/u0"), ("GET", "/v1/experiments"),
        ):  # fmt: skip
            assert proxy.send(host, other, method, path).status_code == 401, (host, path)
    assert proxy.send("toys.example.org", BOOKS[1], "GET", "/v1/runs").status_code == 421

    # events: the same ids of users, items and events in both shops are other ones
    event = {"user_id": "fresh", "item_id": "i1", "event_id": "e1", "kind": "click", "timestamp": 1000}
    assert proxy.send(*BOOKS, "POST", "/v1/events", json=event).json() == {"recorded": 1, "duplicates": 0}
    assert entries(tmp_path / "music") == []
    assert proxy.send(*MUSIC, "GET", "/v1/users/fresh").json()["history"] == []
    assert proxy.send(*MUSIC, "POST", "/v1/events", json={**event, "item_id": "i2"}).json()["recorded"] == 1
    histories = [proxy.send(*shop, "GET", "/v1/users/fresh").json()["history"] for shop in (BOOKS, MUSIC)]
    assert [[item["item_id"] for item in history] for history in histories] == [["i1"], ["i2"]]

    # erasures
    assert proxy.send(*BOOKS, "DELETE", "/v1/users/fresh").json()["events"] == 1
    assert [type(entry) for entry in entries(tmp_path / "books")] == [Deletion]
    assert [entry.item_id for entry in entries(tmp_path / "music")] == ["i2"]
    assert len(proxy.send(*MUSIC, "GET", "/v1/users/fresh").json()["history"]) == 1
    keys = [(tmp_path / name / "runs" / f"{name}.events.sqlite.key").read_bytes() for name in ("books", "music")]
    assert keys[0] != keys[1], "digests of deleted users tell nothing in the other shop"

    # metrics
    counts = [proxy.send(*shop, "GET", "/metrics").text for shop in (BOOKS, MUSIC)]
    assert "music" not in counts[0]
    assert "books" not in counts[1]

    # files
    for name in ("books", "music"):
        secrets = [tmp_path / name / "genre.keys", *(tmp_path / name / "runs").glob("*.events.sqlite*")]
        assert len(secrets) >= 3
        assert {path.stat().st_mode & 0o077 for path in secrets} == {0}, "for the system user of the shop alone"

    # a process of one shop cannot serve from the log of another
    log = SQLiteStore(tmp_path / "books" / "runs" / "books.events.sqlite")
    with contextlib.closing(log), pytest.raises(StoreError, match="another process serves from this event log"):
        log.claim()
