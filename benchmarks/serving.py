"""What does a recommendation cost over HTTP? Beside a bare endpoint, the top-k kernel alone and a peer's model.

    OMP_NUM_THREADS=1 python benchmarks/serving.py [--seconds 10] [--rounds 3] [--requests 1000000] [--output FILE]

CPU seconds of the server process by request, loopback, wrk with one thread, keep-alive, a random user each time; seen
items removed; ours with titles and reasons. The rounds alternate between the servers, so that whatever else the machine
does meets all of them. Needs wrk (`apt-get install wrk`) and makes an environment of its own for the peer.
`--requests` sends that many more and watches the memory.
"""

from __future__ import annotations

import argparse
import asyncio
import atexit
import contextlib
import json
import os
import platform
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import cast

import numpy as np
from platformdirs import user_cache_path

HERE = Path(__file__).resolve().parent
TICK = os.sysconf("SC_CLK_TCK")
GET = """
request = function()
  return wrk.format("GET", "/v1/users/u" .. math.random(0, 19999) .. "/recommendations?k=10")
end
"""
POST = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local n, salt = 0, tostring(os.time()) .. tostring(math.random(1, 1000000000))
request = function()
  n = n + 1
  return wrk.format(nil, "/v1/events", nil, string.format(
    '{"user_id": "u%d", "item_id": "i%d", "event_id": "%s-%d"}',
    math.random(0, 19999), math.random(0, 49999), salt, n))
end
"""
DONE = """
done = function(summary, latency, requests)
  io.write(string.format("RESULT %d %d %f %f %f\\n", summary.requests,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
"""


class Server:
    """A server of serving_world.py in a process of its own."""

    def __init__(self, role: str, folder: Path, python: str = sys.executable) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url, self.role = f"http://127.0.0.1:{self.port}", role
        command = [python, str(HERE / "serving_world.py"), role, str(self.port), str(folder / f"{role}.sqlite")]
        self.process = subprocess.Popen(command)
        atexit.register(self.process.kill)
        self.pid = self.process.pid
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/readyz") as answer:
                if answer.status == 200:
                    return
            assert self.process.poll() is None, f"{role} did not start"
            time.sleep(0.1)

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def rss(self) -> float:
        """Resident MB."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(f"{self.url}/metrics") as answer:
            found = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", answer.read().decode(), re.MULTILINE)
        return sum(map(float, found))

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


class Load:
    """What wrk saw and the server spent."""

    def __init__(self, server: Server, script: str, connections: int, seconds: float) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as lua:
            lua.write(script + DONE)
            lua.flush()
            before = server.cpu()
            command = [
                "wrk",
                "-t1",
                f"-c{connections}",
                f"-d{round(seconds)}s",
                "--latency",
                "-s",
                lua.name,
                server.url,
            ]
            printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            spent = server.cpu() - before
        found = re.search(r"RESULT (\d+) (\d+) (\S+) (\S+) (\S+)", printed)
        assert found, printed
        self.requests, self.errors = int(found[1]), int(found[2])
        self.rate = self.requests / float(found[3])
        self.p50, self.p99 = float(found[4]), float(found[5])
        self.cpu = spent / max(self.requests, 1) * 1e6  # microseconds a request


def peer_python() -> str:
    """An environment with the peer, made once."""
    folder = user_cache_path("genre") / "benchmarks" / "implicit-server"
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        wanted = ["implicit==0.7.3", "fastapi", "uvicorn", "httptools", "uvloop", "numpy", "scipy"]
        subprocess.run([str(python), "-m", "pip", "install", "-q", *wanted], check=True)
    return str(python)


def kernel(batch: int, rows: int = 640) -> float:
    """CPU microseconds a user of the top-k kernel alone, seen items removed, in batches of this size."""
    sys.path.insert(0, str(HERE))
    from serving_world import DIM, N_ITEMS, PER_USER, factors, interactions

    from genre.recommenders.topk import top_k_factors

    items, seen = factors(), interactions().astype(np.int32)
    queries = np.random.default_rng(2).normal(0, 1, (rows, DIM)).astype(np.float32)
    assert items.shape == (N_ITEMS, DIM)

    def once() -> float:
        start = time.process_time()
        for first in range(0, rows, batch):
            some = queries[first : first + batch]
            indptr = np.arange(len(some) + 1) * PER_USER
            top_k_factors(some, items, 10, seen=(indptr, seen[first * PER_USER :][: len(some) * PER_USER]))
        return (time.process_time() - start) / rows * 1e6

    once()
    return once()


def kernel_apart(batch: int) -> float:
    """In a fresh process, as every other number."""
    code = f"import sys; sys.path.insert(0, {str(HERE)!r}); from serving import kernel; print(kernel({batch}))"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def costs(folder: Path, seconds: float, rounds: int, connections: Sequence[int]) -> Iterator[str]:
    """The table of CPU by request, and the ratios."""
    servers = {role: Server(role, folder) for role in ("hello", "constant", "ours")}
    with contextlib.suppress(subprocess.CalledProcessError):  # a machine on which the peer does not install
        servers["peer"] = Server("peer", folder, peer_python())
    yield "| connections | server | CPU us a request | requests/s | p50 ms | p99 ms | errors |"
    yield "|--:|---|--:|--:|--:|--:|--:|"
    ratios = []
    for count in connections:
        loads: dict[str, list[Load]] = {role: [] for role in servers}
        kernels, lists, batches = (
            [],
            servers["ours"].metric("genre_answers_total"),
            servers["ours"].metric("genre_batches_total"),
        )
        for _ in range(rounds):
            for role, server in servers.items():
                loads[role].append(Load(server, GET, count, seconds))
            made, groups = servers["ours"].metric("genre_answers_total"), servers["ours"].metric("genre_batches_total")
            batch = max(1, round((made - lists) / max(groups - batches, 1)))
            lists, batches = made, groups
            kernels.append((batch, kernel_apart(batch)))
        cpu = {role: median(load.cpu for load in some) for role, some in loads.items()}
        for role, some in loads.items():
            rate, p50, p99 = (median(getattr(load, name) for load in some) for name in ("rate", "p50", "p99"))
            yield f"| {count} | {role} | {cpu[role]:.0f} | {rate:,.0f} | {p50:.1f} | {p99:.1f} | {sum(one.errors for one in some)} |"
        alone = median(spent for _, spent in kernels)
        sizes = "/".join(str(batch) for batch, _ in kernels)
        yield f"| {count} | top-k kernel alone, batches of {sizes} | {alone:.0f} | | | | |"
        for base in ("hello", "constant"):
            each = [
                ours.cpu / (other.cpu + spent)
                for ours, other, (_, spent) in zip(loads["ours"], loads[base], kernels, strict=True)
            ]
            ratios.append(
                f"- {count} connections, ours / ({base} + kernel): {median(each):.2f} ({', '.join(f'{r:.2f}' for r in each)})"
            )
        if "peer" in cpu:
            ratios.append(f"- {count} connections, ours / peer: {cpu['ours'] / cpu['peer']:.2f}")
    yield ""
    yield from ratios
    for server in servers.values():
        server.stop()


def shows(folder: Path, seconds: float, rounds: int, connections: Sequence[int]) -> Iterator[str]:
    """What it costs to record the lists that were sent: not at all, in a buffer, before the answer."""
    servers = {"off": Server("off", folder), "buffered": Server("ours", folder), "durable": Server("durable", folder)}
    yield "| connections | record_shows | CPU us a request | of off | requests/s | p50 ms | p99 ms | errors |"
    yield "|--:|---|--:|--:|--:|--:|--:|--:|"
    for count in connections:
        loads: dict[str, list[Load]] = {how: [] for how in servers}
        for _ in range(rounds):
            for how, server in servers.items():
                loads[how].append(Load(server, GET, count, seconds))
        for how, some in loads.items():
            cpu, rate, p50, p99 = (
                median(getattr(load, name) for load in some) for name in ("cpu", "rate", "p50", "p99")
            )
            ratio = median(load.cpu / off.cpu for load, off in zip(some, loads["off"], strict=True))
            errors = sum(load.errors for load in some)
            yield f"| {count} | {how} | {cpu:.0f} | {ratio:.2f} | {rate:,.0f} | {p50:.1f} | {p99:.1f} | {errors} |"
    time.sleep(1)  # the last requests of the load end
    lost = sum(server.metric("genre_lost_shows") for server in servers.values())
    yield f"\n{lost:.0f} lists were not recorded."
    for server in servers.values():
        server.stop()


def events(folder: Path, seconds: float) -> Iterator[str]:
    """Events that are on disk when they are acknowledged, and that the next answer knows them."""
    server = Server("ours", folder)
    yield "| connections | events/s, each a request, on disk when acknowledged | p50 ms | p99 ms | errors | CPU us an event |"
    yield "|--:|--:|--:|--:|--:|--:|"
    for count in (1, 16, 64):
        load = Load(server, POST, count, seconds)
        yield f"| {count} | {load.rate:,.0f} | {load.p50:.1f} | {load.p99:.1f} | {load.errors} | {load.cpu:.0f} |"
    with urllib.request.urlopen(f"{server.url}/v1/users/u7/recommendations") as answer:
        yield f"\nAfterwards u7 is answered as `{json.load(answer)['source']}`."
    server.stop()


class Client(asyncio.Protocol):
    """One connection that asks again as soon as it is answered; how long each answer took goes to `took` by status."""

    def __init__(self, took: dict[int, list[float]]) -> None:
        self.took, self.answer = took, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)
        self.ask()

    def ask(self) -> None:
        self.answer, self.began = b"", time.perf_counter()
        path = f"/v1/users/u{random.randrange(20_000)}/recommendations?k=10"
        self.transport.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        self.answer += data
        head, end, body = self.answer.partition(b"\r\n\r\n")
        if end and len(body) == int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            self.took.setdefault(int(head[9:12]), []).append(time.perf_counter() - self.began)
            self.ask()


def clients(server: Server, connections: int, seconds: float) -> str:
    """What so many connections meet, after two seconds to begin with: a row of the table."""
    import uvloop

    took: dict[int, list[float]] = {}

    async def ask() -> None:
        loop = asyncio.get_running_loop()
        made = [
            await loop.create_connection(lambda: Client(took), "127.0.0.1", server.port) for _ in range(connections)
        ]
        await asyncio.sleep(2)
        took.clear()
        await asyncio.sleep(seconds)
        for transport, _ in made:
            transport.abort()

    uvloop.run(ask())
    lists = np.array(took.get(200, [np.nan])) * 1000
    others = ", ".join(
        f"{len(some) / seconds:,.0f}/s {status}" for status, some in sorted(took.items()) if status != 200
    )
    p50, p99 = np.percentile(lists, [50, 99])
    return f"| {connections:,} | {len(lists) / seconds:,.0f} | {p50:.1f} | {p99:.1f} | {others or 'none'} |"


def flood(folder: Path, seconds: float) -> Iterator[str]:
    """What those who are let in wait for, while forty times as many ask as are worked on at once."""
    server = Server("default", folder)
    yield "| connections | lists/s | p50 ms | p99 ms | other answers |"
    yield "|--:|--:|--:|--:|---|"
    for connections in (16, 32, 1280, 32, 16):
        yield clients(server, connections, seconds)
    yield f"\n{server.rss():.0f} MB afterwards."
    server.stop()


def memory(folder: Path, requests: int) -> Iterator[str]:
    """Resident memory over many requests: lists and events, ten to one."""
    from genre.serving.state import EVENT_BYTES, KEPT_BYTES

    server, sent, seen = Server("ours", folder), 0, []
    most_kept = KEPT_BYTES // EVENT_BYTES
    start = server.rss()
    recorded = 0
    while recorded < 1.1 * most_kept:  # fills the memory of recent events
        recorded += Load(server, POST, 32, 10).requests
    Load(server, GET, 32, 40)
    while sent < requests:
        sent += Load(server, GET, 32, 20).requests + Load(server, POST, 32, 2).requests
        seen.append((sent, server.rss()))
        print(f"{sent:,} requests, {server.rss():.0f} MB", file=sys.stderr)
    yield "| requests | resident MB |"
    yield "|--:|--:|"
    for at in sorted({0, len(seen) // 4, len(seen) // 2, 3 * len(seen) // 4, len(seen) - 1}):
        yield f"| {seen[at][0]:,} | {seen[at][1]:.0f} |"
    half = seen[len(seen) // 4 :]
    slope = np.polyfit([n for n, _ in half], [rss for _, rss in half], 1)[0] * 1e6 if len(half) > 1 else float("nan")
    descriptors = len(list(Path(f"/proc/{server.pid}/fd").iterdir()))
    yield f"\n{start:.0f} MB after the start, before {recorded:,} events filled what is kept of them in memory ({most_kept:,} at most)."
    yield f"Slope behind the first quarter: {slope:.1f} MB a million requests; {descriptors} open files at the end."
    server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="not needed: the world is made up")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, nargs="*", default=[16, 64])
    parser.add_argument("--requests", type=int, default=0, help="watch the memory over so many requests")
    parser.add_argument("--only", choices=["costs", "shows", "events", "flood", "memory"])
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk")
    lines = [
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        + ", ".join(
            f"{name} {version(name)}" for name in ("numpy", "fastapi", "uvicorn", "httptools", "uvloop", "orjson")
        ),
        "",
    ]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        parts = {
            "costs": costs(folder, args.seconds, args.rounds, args.connections),
            "shows": shows(folder, args.seconds, args.rounds, args.connections),
            "events": events(folder, args.seconds),
            "flood": flood(folder, args.seconds),
        }
        if args.requests:
            parts["memory"] = memory(folder, args.requests)
        for name, part in parts.items():
            if args.only in (None, name):
                lines += [f"## {name}", "", *part, ""]
                print("\n".join(lines[-1:]), end="", flush=True)
    text = "\n".join(lines)
    print(text)
    if args.output:
        args.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
