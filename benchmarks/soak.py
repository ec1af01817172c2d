"""Does a server that runs for long keep its memory and its files? Steady mixed load, looked at every second.

    python benchmarks/soak.py [--minutes 5] [--rate 100] [--output FILE]

50,000 items, 20,000 users; lists, similar items, reasons, searches, events, deletions. The slope is that of a line through
the second half of the minutes, when caches have filled. Ends with status 1 on an error, a slope of 1 MB a minute or more,
or files that stay open.
"""

from __future__ import annotations

import argparse
import http.client
import json
import platform
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np

WORLD = Path(__file__).with_name("serving_world.py")
CLIENTS = 8
Request = tuple[str, str, object]


def some_request(rng: random.Random, n: int) -> Request:
    user, item = f"u{rng.randrange(2_000)}", f"i{rng.randrange(50_000)}"
    kinds: list[tuple[int, Request]] = [
        (60, ("GET", f"/v1/users/{user}/recommendations?k={rng.choice([10, 20, 100])}", None)),
        (
            10,
            (
                "POST",
                "/v1/recommendations",
                {"history": [f"i{rng.randrange(50_000)}" for _ in range(rng.randrange(1, 30))]},
            ),
        ),
        (10, ("GET", f"/v1/items/{item}/similar", None)),
        (3, ("GET", f"/v1/users/{user}/explanations/{item}", None)),
        (3, ("GET", f"/v1/items?search=title%20{rng.randrange(50_000)}", None)),
        (10, ("POST", "/v1/events", {"user_id": user, "item_id": item, "event_id": f"e{n}-{rng.random()}"})),
        (3, ("GET", "/v1/popular", None)),
        (1, ("DELETE", f"/v1/users/gone{rng.randrange(1_000)}", None)),
    ]
    return rng.choices([request for _, request in kinds], [share for share, _ in kinds])[0]


def client(name: int, port: int, rate: float, until: float, statuses: Counter[str]) -> None:
    """Requests on a beat; a connection of its own, made anew every hundred requests."""
    rng, n = random.Random(name), 0
    beat, due = CLIENTS / rate, time.monotonic() + random.Random(name).random()
    while time.monotonic() < until:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        for _ in range(100):
            time.sleep(max(0.0, due - time.monotonic()))
            due = max(due + beat, time.monotonic() - 1)
            method, path, body = some_request(rng, n)
            try:
                connection.request(
                    method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"}
                )
                answer = connection.getresponse()
                answer.read()
                statuses[str(answer.status)] += 1
            except (OSError, http.client.HTTPException) as error:
                statuses[type(error).__name__] += 1
                break
            n += 1
            if time.monotonic() > until:
                break
        connection.close()


def resident(pid: int) -> float:
    """MB"""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def wait_until_ready(port: int) -> None:
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.2)


def soak(minutes: float, rate: float, folder: Path) -> tuple[str, bool]:
    """A paragraph of what was seen, and whether it is good."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, str(WORLD), "ours", str(port), str(folder / "events.sqlite")])
    try:
        wait_until_ready(port)
        statuses: Counter[str] = Counter()
        begun = time.monotonic()
        until = begun + minutes * 60
        clients = [threading.Thread(target=client, args=(at, port, rate, until, statuses)) for at in range(CLIENTS)]
        for one in clients:
            one.start()
        seen: list[tuple[float, float, int]] = []
        while time.monotonic() < until:
            seen.append(
                (
                    (time.monotonic() - begun) / 60,
                    resident(server.pid),
                    len(list(Path(f"/proc/{server.pid}/fd").iterdir())),
                )
            )
            time.sleep(1)
        for one in clients:
            one.join()
        time.sleep(2)
        files_after = len(list(Path(f"/proc/{server.pid}/fd").iterdir()))
    finally:
        server.kill()
        server.wait()
    minute, memory, files = (np.array(column) for column in zip(*seen, strict=True))
    late = minute >= minutes / 2
    slope = float(np.polyfit(minute[late], memory[late], 1)[0])
    wrong = {status: n for status, n in statuses.items() if status not in ("200", "404")}
    told = (
        f"{minutes:g} minutes, {sum(statuses.values()):,} requests ({sum(statuses.values()) / minutes / 60:.0f} a second), errors {wrong or 0}; "
        f"memory {memory[0]:.0f} MB at the start, {memory[late][0]:.0f} half way, {memory[-1]:.0f} at the end, slope of the second half "
        f"{slope:+.2f} MB a minute; open files {files[0]} at the start, {files.max()} at most, {files_after} when the clients were gone."
    )
    return told, not wrong and slope < 1 and files_after <= files[0] + 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--rate", type=float, default=100, help="requests a second (default: 100)")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        told, good = soak(args.minutes, args.rate, Path(folder))
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    print(f"{machine}: {told}")
    if args.output:
        args.output.write_text(f"{machine}: {told}\n")
    sys.exit(not good)


if __name__ == "__main__":
    main()
