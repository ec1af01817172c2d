"""One request is followed through the files it enters, and docs/architecture.md lists these files."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
import pytest

import genre
from genre.runs import Run
from genre.serving import shows
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.http import batching
from genre.serving.http.access import ApiKeys
from genre.serving.http.app import create_app
from genre.serving.service import Service

SERVING = Path(genre.__file__).parent / "serving"
PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"
KEY = "a key of the tests"
MOST_FILES = 14

Served = Callable[..., AbstractContextManager[str]]


class Trace:
    """Files of `serving/` in the order in which functions of theirs are first called, in all threads started later."""

    def __init__(self) -> None:
        self.on = False
        self.files: list[str] = []
        self._names: dict[str, str | None] = {}

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if not self.on or event != "call":
            return
        path = frame.f_code.co_filename
        if path not in self._names:
            inside = Path(path).is_relative_to(SERVING)
            self._names[path] = Path(path).relative_to(SERVING).as_posix() if inside else None
        if (name := self._names[path]) is not None and name not in self.files:
            self.files.append(name)


@pytest.fixture
def trace() -> Iterator[Trace]:
    made = Trace()
    threading.setprofile(made)
    yield made
    threading.setprofile(None)


def listed() -> list[str]:
    """The files that the page lists, in order."""
    _, _, rest = PAGE.read_text("utf-8").partition("\n## One request\n")
    return re.findall(r"^\d+\. `([\w/]+\.py)`", rest.partition("\n## ")[0], re.M)


def test_the_page_lists_the_files_that_a_request_enters(
    trace: Trace, run: Run, tmp_path: Path, serve_app: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pause in ("SYNC_SECONDS", "ERASURE_SECONDS"):  # so that nothing else goes on meanwhile
        monkeypatch.setattr(batching, pause, 1000)
    monkeypatch.setattr(shows, "FLUSH_SECONDS", 1000)
    service = Service([run], SQLiteStore(tmp_path / "events.sqlite"))
    with serve_app(create_app(service, api_keys=ApiKeys({KEY: ["read"]}))) as url:
        while service.failing_calls() or not service.ready:
            time.sleep(0.05)
        for k, trace.on in ((2, False), (3, True)):  # the first reads the user's events into memory
            address, headers = f"{url}/v1/users/u0/recommendations?k={k}", {"authorization": f"Bearer {KEY}"}
            answer = httpx.get(address, headers=headers, timeout=30)
            time.sleep(0.2)  # until what follows an answer has ended too
        trace.on = False
    assert answer.json()["source"] == "personal", answer.text
    assert trace.files == listed()
    assert len(trace.files) <= MOST_FILES
