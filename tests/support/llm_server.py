"""A tiny OpenAI-compatible server on 127.0.0.1 that answers well or goes wrong in a named way."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from genre.llm.fake import example

Change = Callable[[dict[str, Any], dict[str, Any]], Any]


class TestServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, fault: str, times: int, change: Change) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.fault, self.times, self.change = fault, times, change
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.under_way = self.most_under_way = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Answer(BaseHTTPRequestHandler):
    server: TestServer

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            server.requests.append(request)
            server.paths.append(self.path)
            server.headers.append({name.lower(): value for name, value in self.headers.items()})
            server.keys.append(self.headers.get("Authorization", ""))
            fault = server.fault if len(server.requests) <= server.times else ""
            server.under_way += 1
            server.most_under_way = max(server.most_under_way, server.under_way)
        try:
            self.answer(request, fault)
        finally:
            with server.lock:
                server.under_way -= 1

    def answer(self, request: dict[str, Any], fault: str) -> None:
        key = self.headers.get("Authorization", "")
        if fault == "hang":
            time.sleep(1.0)
        if fault.startswith("http"):
            return self.send_bytes(307, b"", {"Location": fault})
        if fault in ("dripping head", "dripping body", "endless head", "endless body", "packed"):
            return self.misbehave(fault)
        if fault.isdigit():
            return self.send(int(fault), {"error": {"message": f"no good: {key}", "type": "server_error"}})
        if fault == "garbage":
            return self.send_bytes(200, b"<html>It works!</html>")
        if fault == "half":
            return self.send_bytes(200, b'{"id": "x", "choi', length=500)
        if fault == "no choices":
            return self.send(200, {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": []})
        schema = (request.get("response_format") or {}).get("json_schema", {}).get("schema")
        text = (
            json.dumps(example(schema, ["red", "house"], 0))
            if schema
            else (request["input"] if "input" in request else request["messages"][-1]["content"]).upper()
        )
        choice: dict[str, Any] = {
            "index": 0,
            "finish_reason": "length" if fault == "truncated" else "stop",
            "message": {"role": "assistant", "content": text},
        }
        if fault == "refusal":
            choice["message"] = {"role": "assistant", "content": None, "refusal": "I will not."}
        if request.get("logprobs"):
            top = [{"token": t, "logprob": p, "bytes": None} for t, p in (("B", -0.1), (" A", -2.5), ("Z", -4.0))]
            choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}], "refusal": None}
        usage = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
        whole = {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
        changed = self.server.change(request, {**whole, "usage": usage})
        return self.send(*changed) if isinstance(changed, tuple) else self.send(200, changed)

    def misbehave(self, fault: str) -> None:
        """Send an answer that drips, does not end, or is a small file that unpacks to a large one."""
        kind, _, part = fault.partition(" ")
        if kind == "packed":
            packed = gzip.compress(b" " * 50_000_000)
            self.send_bytes(200, packed, {"Content-Encoding": "gzip"})
            return
        head, body = (b"", b"HTTP/1.1 200 OK\r\nX: ") if part == "head" else (b"HTTP/1.1 200 OK\r\n\r\n", b'{"a": "')
        piece = b"x" if kind == "dripping" else b"x" * 65_536
        try:
            self.wfile.write(head + body)
            while True:
                self.wfile.write(piece)
                self.sent += len(piece)
                time.sleep(0.05 if kind == "dripping" else 0)
        except OSError:
            pass  # the client has given up
        self.close_connection = True

    sent = 0

    def send(self, status: int, body: Any) -> None:
        self.send_bytes(status, body if isinstance(body, bytes) else json.dumps(body).encode())

    def send_bytes(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None
    ) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body) if length is None else length))
            if status != 307:
                self.send_header("retry-after-ms", "10")
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            pass  # the client has given up

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(fault: str = "", times: int = 10**9, change: Change = lambda request, whole: whole) -> Iterator[TestServer]:
    """The first `times` requests go wrong as `fault` says, the others well; `change` makes other answers of those,
    a pair for another status."""
    server = TestServer(fault, times, change)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def as_vectors(request: dict[str, Any], _: dict[str, Any]) -> Any:
    """Answer a request for an embedding: the numbers of the vowels of the text, and its length."""
    text = request["input"]
    numbers = [float(text.lower().count(vowel)) for vowel in "aeiou"] + [float(len(text))]
    return {"data": [{"index": 0, "embedding": numbers}], "usage": {"prompt_tokens": 4, "total_tokens": 4}}
