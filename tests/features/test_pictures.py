"""Pictures by address: where they may come from, and what is refused. No connection leaves the machine."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from genre.features.pictures import PictureError, Pictures, is_public


class Site(BaseHTTPRequestHandler):
    """What a host answers, by path."""

    answers: ClassVar[dict[str, tuple[int, dict[str, str], bytes]]] = {}

    def do_GET(self) -> None:
        status, headers, body = self.answers.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in {"Content-Type": "image/png", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return


RED = b"the bytes of a picture"


@pytest.fixture
def site() -> Iterator[ThreadingHTTPServer]:
    class Here(Site):
        answers: ClassVar = {
            "/red.png?size=1": (200, {}, RED),
            "/page": (200, {"Content-Type": "text/html"}, b"<html>"),
            "/large": (200, {}, b"x" * 3_000),
            "/short": (200, {"Content-Length": "900"}, b"x"),
            "/moved": (302, {"Location": "/red.png?size=1"}, b""),
            "/inside": (302, {"Location": "http://inside.example/secret"}, b""),
            "/file": (302, {"Location": "file:///etc/passwd"}, b""),
            "/round": (302, {"Location": "/round"}, b""),
        }

    server = ThreadingHTTPServer(("127.0.0.1", 0), Here)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


HOSTS = {
    "shop.example": ["8.8.8.8"],
    "inside.example": ["10.0.0.7"],
    "both.example": ["8.8.8.8", "169.254.169.254"],
    "mapped.example": ["::ffff:127.0.0.1"],
}


def store(folder: Path, server: ThreadingHTTPServer, connected: list[str]) -> Pictures:
    """Pictures whose names are resolved by `HOSTS` and whose connections all lead to the server of the test."""

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        if host not in HOSTS:
            raise socket.gaierror("unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in HOSTS[host]]

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        connected.append(address[0])
        return socket.create_connection(server.server_address[:2], timeout=timeout)  # type: ignore[arg-type]

    return Pictures(folder, most_bytes=2_000, seconds=5, resolve=resolve, connect=connect)


def test_a_picture_is_fetched_once_and_kept_by_its_content(site: ThreadingHTTPServer, tmp_path: Path) -> None:
    connected: list[str] = []
    pictures = store(tmp_path, site, connected)
    for url in ("http://shop.example/red.png?size=1", "http://shop.example/moved"):
        assert pictures.get(url, fetch=True) == RED
        assert pictures.get(url, fetch=False) == RED
    assert connected == ["8.8.8.8"] * 3, "the address that was checked; kept pictures need no connection"
    kept = [path for path in tmp_path.iterdir() if path.is_file()]
    assert len(kept) == 1, "one content is one file"
    kept[0].write_bytes(b"damaged")
    assert pictures.get("http://shop.example/moved", fetch=True) == RED


@pytest.mark.parametrize(
    ("url", "reason", "connections"),
    [
        ("http://shop.example/none", "HTTP 404", 1),
        ("http://shop.example/page", "of type text/html", 1),
        ("http://shop.example/large", "above 2,000 bytes", 1),
        ("http://shop.example/short", "cut off|no answer", 1),
        ("http://shop.example/round", "more than 3 redirects", 4),
        ("http://shop.example/inside", "not public", 1),
        ("http://shop.example/file", "no address of http", 1),
        ("http://inside.example/a.png", "not public", 0),
        ("http://both.example/a.png", "not public", 0),
        ("http://mapped.example/a.png", "not public", 0),
        ("http://unknown.example/a.png", "no answer", 0),
        ("http://shop.example:22/a.png", "port", 0),
        ("http://user:secret@shop.example/a.png", "no address of http", 0),
        ("ftp://shop.example/a.png", "no address of http", 0),
        ("http://shop.example:x/", "no answer", 0),
        ("http://[::1/", "no answer", 0),
        ("http://", "no address of http", 0),
        ("https://shop.example/a.png", "no answer: SSLError", 1),
    ],
)
def test_what_is_not_fetched(
    site: ThreadingHTTPServer, tmp_path: Path, url: str, reason: str, connections: int
) -> None:
    connected: list[str] = []
    with pytest.raises(PictureError, match=reason):
        store(tmp_path, site, connected).get(url, fetch=True)
    assert len(connected) == connections
    assert not list(tmp_path.iterdir())


def test_without_leave_nothing_is_fetched(site: ThreadingHTTPServer, tmp_path: Path) -> None:
    connected: list[str] = []
    with pytest.raises(PictureError, match="when the run was made"):
        store(tmp_path, site, connected).get("http://shop.example/red.png?size=1", fetch=False)
    assert not connected


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:10.0.0.1", "2002:7f00:1::",
        "64:ff9b::7f00:1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "no address", "2130706433",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public(address: str) -> None:
    assert not is_public(address)


def test_public_addresses_and_checked_certificates() -> None:
    assert is_public("8.8.8.8")
    assert is_public("2606:4700::1111")
    assert ssl.create_default_context().verify_mode == ssl.CERT_REQUIRED


def test_a_host_that_does_not_answer_is_left_alone(site: ThreadingHTTPServer, tmp_path: Path) -> None:
    connected: list[str] = []
    pictures = store(tmp_path, site, connected)

    def reasons(host: str, n: int) -> list[str]:
        found = []
        for at in range(n):
            with pytest.raises(PictureError) as caught:
                pictures.get(f"http://{host}/{at}.png", fetch=True)
            found.append(str(caught.value))
        return found

    assert reasons("nowhere.example", 10) == ["no answer: gaierror"] * 8 + ["a host that does not answer"] * 2
    assert reasons("shop.example", 10) == ["HTTP 404"] * 10, "an answer, if not a picture"
    assert pictures.get("http://shop.example/red.png?size=1", fetch=True) == RED
