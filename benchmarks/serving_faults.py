"""What happens when things break? kill -9, a full disk, damaged runs, a hung model, a database that goes, slow clients.

    python benchmarks/serving_faults.py [--rounds 100] [--only kills] [--output FILE]

Every part prints what was counted; a number that must be 0 and is not ends the script. `disk` needs root (it mounts a
small tmpfs), `postgres` a PostgreSQL server's programs (`apt-get install postgresql`), `slow` 10,000 file descriptors.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import http.client
import itertools
import json
import os
import platform
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn

from genre.errors import ArtifactError
from genre.recommenders.base import Recommender
from genre.recommenders.content import Content
from genre.recommenders.ease import EASE
from genre.runs import Run
from genre.serving.events.log_table import EventStore
from genre.serving.events.opening import open_store
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.events.store import Event
from genre.serving.http.app import create_app
from genre.serving.http.connections import protocol_with_limits
from genre.serving.http.server import serve, watch_folders
from genre.serving.limits import Limits
from genre.serving.service import Service
from genre.testing import toy_dataset

Statuses = Counter[str]


def toy_run(folder: Path) -> Run:
    data = toy_dataset()
    return Run(folder, "toy", data, {"ease": EASE(10.0).fit(data)})


def must(true: bool, what: str) -> None:  # noqa: FBT001
    if not true:
        sys.exit(f"FAILED: {what}")


@contextlib.contextmanager
def served(service: Service) -> Iterator[int]:
    """The service behind a real server in a thread; its port."""
    protocol = protocol_with_limits(service.limits)
    server = uvicorn.Server(
        uvicorn.Config(create_app(service), port=0, http=protocol, ws="none", log_level="critical", access_log=False)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started or not service.ready:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


class Client:
    """Sends one request after the other on one connection until it is stopped; counts what came back."""

    def __init__(
        self, port: int, request: Callable[[int], tuple[str, str, object]], note: Callable[[int, str, bytes], None]
    ) -> None:
        self.port, self.request, self.note, self.stopped = port, request, note, False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        connection, n = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30), 0
        while not self.stopped:
            method, path, body = self.request(n)
            try:
                sent = None if body is None else json.dumps(body)
                connection.request(method, path, sent, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                self.note(n, str(answer.status), answer.read())
            except OSError:
                self.note(n, "no answer", b"")
                connection.close()
                if self.stopped:
                    return
                time.sleep(0.01)
            except http.client.HTTPException:
                self.note(n, "no answer", b"")
                connection.close()
            n += 1

    def stop(self) -> None:
        self.stopped = True
        self.thread.join()


# --- kill -9 under event load -------------------------------------------------------------------------


def start_process(folder: Path, port: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, __file__, "--serve", str(folder), str(port)])
    atexit.register(process.kill)
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return process
        time.sleep(0.01)


def kills(folder: Path, rounds: int) -> Iterator[str]:
    """Clients send events, each with its id, and send again what was not acknowledged; the server is killed."""
    acknowledged: set[str] = set()
    ready, lock = [], threading.Lock()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pending: dict[int, str] = {}
    for round_ in range(rounds):
        begun = time.monotonic()
        process = start_process(folder, port)
        ready.append(time.monotonic() - begun)
        done: list[int] = []

        def client(name: int, round_: int = round_, done: list[int] = done) -> Client:
            def request(n: int) -> tuple[str, str, object]:
                event_id = pending.get(name) or f"{round_}-{name}-{n}"
                pending[name] = event_id
                return "POST", "/v1/events", {"user_id": f"u{name}", "item_id": "i1", "event_id": event_id}

            def note(n: int, status: str, body: bytes) -> None:
                if status == "200":
                    with lock:
                        acknowledged.add(pending.pop(name))
                        done.append(n)

            return Client(port, request, note)

        clients = [client(name) for name in range(16)]
        moment = random.Random(round_).uniform(20, 400)
        while len(done) < moment:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for one in clients:
            one.stop()
    store = SQLiteStore(folder / "events.sqlite")
    kept = [entry.event_id for entry in store.entries() if isinstance(entry, Event)]
    lost, twice = len(acknowledged - set(kept)), len(kept) - len(set(kept))
    intact = store._read.execute("PRAGMA integrity_check").fetchone()[0]
    store.close()
    yield f"{rounds} kills: {len(acknowledged):,} events acknowledged, {len(kept):,} in the log, {lost} lost, {twice} counted twice, integrity {intact};"
    yield f"ready again after {sorted(ready)[len(ready) // 2]:.1f} s (median), {max(ready):.1f} s (worst), Python's start included."
    must(lost == 0 and twice == 0 and intact == "ok", "events")


# --- damage -------------------------------------------------------------------------------------------


def flips(folder: Path, n: int = 1000) -> Iterator[str]:
    """One flipped bit in a file of a saved folder, a thousand times."""
    saved, rng, detected = folder / "saved", random.Random(0), Counter[str]()
    EASE(10.0).fit(toy_dataset()).save(saved)
    files = sorted(path for path in saved.rglob("*") if path.is_file())
    for at in range(n):
        path = files[at % len(files)]
        content = path.read_bytes()
        data = bytearray(content)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        try:
            Recommender.load(saved)
        except ArtifactError:
            detected[path.name] += 1
        path.write_bytes(content)
    Recommender.load(saved)
    yield f"{sum(detected.values()):,}/{n:,} flipped bits detected ({', '.join(f'{name} {found}' for name, found in sorted(detected.items()))})."
    must(sum(detected.values()) == n, "a flipped bit was not noticed")


def swaps(folder: Path) -> Iterator[str]:
    """A run is replaced ten times under load, three times by a damaged one."""
    place, data = folder / "run", toy_dataset()

    def put(strength: float, *, damaged: bool = False) -> None:
        aside = folder / "aside"
        shutil.rmtree(aside, ignore_errors=True)
        EASE(strength).fit(data).save(aside)
        if damaged:
            (aside / "state.safetensors").write_bytes(b"damaged")
        if place.exists():
            from genre.storage import exchange

            exchange(aside, place)
        else:
            aside.rename(place)

    def read(path: Path) -> Run:
        return Run(place, "toy", data, {"ease": Recommender.load(path)})

    put(10.0)
    service, stop, statuses, bodies = (
        Service([read(place)], SQLiteStore(folder / "swaps.sqlite")),
        threading.Event(),
        Statuses(),
        Counter[bytes](),
    )
    watcher = threading.Thread(target=watch_folders, args=(service, stop), kwargs={"read": read, "every": 0.02})
    with served(service) as port:
        watcher.start()

        def note(n: int, status: str, body: bytes) -> None:
            statuses[status] += 1
            bodies[body] += 1

        clients = [Client(port, lambda n: ("GET", "/v1/users/u0/recommendations?k=12", None), note) for _ in range(8)]
        for at in range(13):
            put(10.0 + at, damaged=at % 4 == 3)
            time.sleep(0.3)
        for client in clients:
            client.stop()
        stop.set()
        watcher.join()
    good = [EASE(10.0 + at).fit(data).recommend(data.history([0]), k=12) for at in range(13) if at % 4 != 3]
    whole = {tuple(round(score, 3) for score in one.score[0].tolist() if score > float("-inf")) for one in good}
    mixed = 0
    for body, n in bodies.items():
        scores = tuple(round(item["score"], 3) for item in json.loads(body).get("items", []))
        mixed += 0 if scores in whole else n
    yield f"10 good and 3 damaged runs put in place under load: {dict(statuses)}, {len(bodies)} different answers, {mixed} that no single run gives."
    must(set(statuses) == {"200"} and mixed == 0 and len(bodies) > 5, "swaps")


# --- a full disk --------------------------------------------------------------------------------------


def disk(folder: Path) -> Iterator[str]:
    """The log lies on a disk of 4 MB that fills up and is emptied again."""
    small = folder / "small"
    small.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(small)], capture_output=True, check=False
    ).returncode:
        yield "Not run: a tmpfs cannot be mounted here (needs root)."
        return
    try:
        (small / "ballast").write_bytes(b"x" * 2_000_000)
        store = SQLiteStore(small / "events.sqlite")
        statuses: list[str] = []
        with served(Service([toy_run(folder)], store)) as port:

            def request(n: int) -> tuple[str, str, object]:
                return (
                    "POST",
                    "/v1/events",
                    [{"user_id": f"u{n % 20}", "item_id": "i1", "event_id": f"{n}-{m}"} for m in range(200)],
                )

            client = Client(port, request, lambda n, status, body: statuses.append(status))
            while statuses.count("503") < 20:
                time.sleep(0.01)
            reading = http.client.HTTPConnection("127.0.0.1", port)
            reading.request("GET", "/v1/users/u1/recommendations")
            listed = reading.getresponse().status
            (small / "ballast").unlink()
            before = len(statuses)
            while "200" not in statuses[before:]:
                time.sleep(0.01)
            client.stop()
            intact = store._read.execute("PRAGMA integrity_check").fetchone()[0]
            kept = sum(isinstance(entry, Event) for entry in store.entries())
        yield f"{statuses.count('200')} requests of 200 events acknowledged, {statuses.count('503')} refused with 503 while the disk was full, other {len(statuses) - statuses.count('200') - statuses.count('503')};"
        yield f"lists meanwhile: {listed}; events kept {kept:,} = 200 x {kept // 200}; integrity {intact}; recovered without a restart."
        must(
            intact == "ok"
            and listed == 200
            and set(statuses) == {"200", "503"}
            and kept == 200 * statuses.count("200"),
            "disk",
        )
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)


# --- a hung model -------------------------------------------------------------------------------------


class Hanging(EASE):
    """Hangs while the gate is closed."""

    def _score(self, history):  # type: ignore[no-untyped-def]
        gate = getattr(self, "gate", None)
        if gate is not None:
            gate.wait()
        return super()._score(history)


def hang(folder: Path) -> Iterator[str]:
    """The model hangs for three seconds under load; half a second is its budget."""
    data, gate = toy_dataset(), threading.Event()
    model = Hanging(10.0).fit(data)
    run = Run(folder, "toy", data, {"hanging": model, "content": Content().fit(data)})
    service = Service(
        [run], SQLiteStore(folder / "hang.sqlite"), limits=Limits(model_seconds=0.5, failures=2, pause_seconds=1.0)
    )
    answers: list[tuple[float, float, str, str]] = []
    with served(service) as port:
        model.gate = gate  # type: ignore[attr-defined]
        begun = time.monotonic()
        last = dict.fromkeys(range(4), begun)

        def client(name: int) -> Client:
            def note(n: int, status: str, body: bytes) -> None:
                now = time.monotonic()
                found = json.loads(body) if status == "200" else {"source": status, "fallback": None}
                answers.append((now - begun, now - last[name], found["source"], str(found["fallback"])))
                last[name] = now

            return Client(port, lambda n: ("GET", "/v1/users/u0/recommendations", None), note)

        clients = [client(name) for name in range(4)]
        time.sleep(3)
        gate.set()
        time.sleep(2)
        for one in clients:
            one.stop()
    during = [a for a in answers if a[0] < 3]
    yield f"While it hung: {len(during):,} answers, all 200; {dict(Counter(f'{source}, {fallback}' for _, _, source, fallback in during))};"
    back = min(at for at, _, _, fallback in answers if at > 3 and fallback == "None")
    yield f"the slowest took {max(a[1] for a in during):.2f} s; personal again {back - 3:.2f} s after it woke, without anybody."
    must(all(source in ("content", "personal") for _, _, source, _ in answers), "hang")


# --- PostgreSQL that goes and comes -------------------------------------------------------------------


def postgres(folder: Path) -> Iterator[str]:
    """The database is stopped at once, started again; then frozen (SIGSTOP) and thawed. Under load."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin")) if Path("/usr/lib/postgresql").is_dir() else []
    if not found:
        yield "Not run: no PostgreSQL server here (apt-get install postgresql)."
        return
    place = Path(tempfile.mkdtemp(prefix="genre-pg-"))
    as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    if as_user:
        shutil.chown(place, "postgres")

    def do(program: str, *arguments: str) -> None:
        subprocess.run(
            [*as_user, str(found[-1] / program), "-D", str(place / "data"), *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=place,
        )

    def start() -> None:
        do("pg_ctl", "-w", "-l", str(place / "log"), "-o", f"-k {place} -h ''", "start")

    do("initdb", "-A", "trust", "-U", "genre", "--no-sync")
    start()
    atexit.register(
        lambda: subprocess.run(
            [*as_user, str(found[-1] / "pg_ctl"), "-D", str(place / "data"), "-m", "immediate", "stop"],
            capture_output=True,
            check=False,
        )
    )
    store: EventStore = open_store(f"postgresql://genre@/postgres?host={place}")
    acknowledged, statuses, phase = set[str](), Counter[str](), ["calm"]
    with served(Service([toy_run(folder)], store)) as port:

        def writer(name: int) -> Client:
            def request(n: int) -> tuple[str, str, object]:
                return "POST", "/v1/events", {"user_id": f"w{name}", "item_id": "i1", "event_id": f"{name}-{n}"}

            def note(n: int, status: str, body: bytes) -> None:
                statuses[f"{phase[0]}: event {status}"] += 1
                if status == "200":
                    acknowledged.add(f"{name}-{n}")

            return Client(port, request, note)

        def note_list(n: int, status: str, body: bytes) -> None:
            fallback = json.loads(body).get("fallback") if status == "200" else None
            statuses[f"{phase[0]}: list {status}{' ' + fallback if fallback else ''}"] += 1

        clients = [writer(name) for name in range(4)]
        clients += [
            Client(port, lambda n: ("GET", f"/v1/users/x{n}/recommendations", None), note_list) for _ in range(2)
        ]
        time.sleep(2)
        do("pg_ctl", "-m", "immediate", "-w", "stop")
        phase[0] = "stopped"
        time.sleep(2)
        start()
        time.sleep(0.5)
        phase[0] = "started"
        time.sleep(2)
        pid = int((place / "data" / "postmaster.pid").read_text().split()[0])
        group = [
            pid,
            *(
                int(line)
                for line in subprocess.run(
                    ["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False
                ).stdout.split()
            ),
        ]
        for one in group:
            os.kill(one, signal.SIGSTOP)
        phase[0] = "frozen"
        time.sleep(3)
        for one in group:
            os.kill(one, signal.SIGCONT)
        phase[0] = "waking"
        time.sleep(11)  # what was frozen has to run into its time limit first
        phase[0] = "thawed"
        time.sleep(2)
        for client in clients:
            client.stop()
        kept = [entry.event_id for entry in store.entries() if isinstance(entry, Event)]
    yield "| phase | answer | number |"
    yield "|---|---|--:|"
    for name, n in sorted(
        statuses.items(),
        key=lambda pair: ["calm", "stopped", "started", "frozen", "waking", "thawed"].index(pair[0].partition(":")[0]),
    ):
        first, _, rest = name.partition(": ")
        yield f"| {first} | {rest} | {n:,} |"
    lost, twice = len(acknowledged - set(kept)), len(kept) - len(set(kept))
    yield f"\n{len(acknowledged):,} events acknowledged, {lost} lost, {twice} counted twice."
    must(
        lost == 0 and twice == 0 and statuses["thawed: event 200"] > 0 and statuses["started: event 200"] > 0,
        "postgres",
    )
    must(not any("list 5" in name for name in statuses), "a list failed because the database did")


# --- slow clients -------------------------------------------------------------------------------------


def slow(folder: Path, n: int = 10_000) -> Iterator[str]:
    """Ten thousand clients send a byte now and then; an honest one asks for lists."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < n + 500:
        yield f"Not run: {hard} file descriptors are allowed, {n + 500} needed."
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = start_process(folder, port)
    resource.setrlimit(resource.RLIMIT_NOFILE, (n + 500, hard))

    def rss() -> float:
        return int(Path(f"/proc/{server.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    statuses, times, before = Statuses(), [time.monotonic()], rss()

    def note(_: int, status: str, body: bytes) -> None:
        statuses[status] += 1
        times.append(time.monotonic())

    honest = Client(port, lambda n: ("GET", f"/v1/users/u{n % 20}/recommendations", None), note)
    crowd: list[socket.socket] = []
    for _ in range(n):
        with contextlib.suppress(OSError):
            crowd.append(socket.create_connection(("127.0.0.1", port), timeout=5))
            crowd[-1].sendall(b"GET /v1")
    peak = rss()
    for _ in range(3):
        for one in crowd:
            with contextlib.suppress(OSError):
                one.send(b"x")
        time.sleep(1)
    peak = max(peak, rss())
    for one in crowd:
        one.close()
    time.sleep(1)
    honest.stop()
    gaps = sorted(after - before for before, after in itertools.pairwise(times))
    yield f"{len(crowd):,} slow clients: the honest one got {dict(statuses)}, its slowest answer took {gaps[-1]:.2f} s, median {gaps[len(gaps) // 2] * 1e3:.1f} ms;"
    yield f"memory {before:.0f} MB before, {peak:.0f} MB at most, {rss():.0f} MB after; alive: {server.poll() is None}."
    must(server.poll() is None and statuses["200"] > 100 and peak - before < 200, "slow clients")
    server.kill()


# --- headers without an end ---------------------------------------------------------------------------


FLOOD = Path(__file__).parents[1] / "tests" / "support" / "header_flood.py"


def headers(folder: Path, seconds: float = 2.0, rounds: int = 5) -> Iterator[str]:
    """300 connections send headers without an end, dial again when they are refused; an honest client asks for lists."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = start_process(folder, port)

    def rss() -> float:
        return int(Path(f"/proc/{server.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def cpu() -> float:
        threads = Path(f"/proc/{server.pid}/task").iterdir()
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9

    def lists() -> tuple[int, float]:
        """Lists in a while, and CPU seconds of the server by list, whatever else it does meanwhile included."""
        found, begun = Statuses(), cpu()
        honest = Client(
            port,
            lambda n: ("GET", f"/v1/users/u{n % 20}/recommendations", None),
            lambda n, status, body: found.update([status]),
        )
        time.sleep(seconds)
        honest.stop()
        must(set(found) == {"200"}, f"headers: {found}")
        return found["200"], (cpu() - begun) / found["200"]

    lists()
    before, peak = rss(), 0.0
    rates: list[float] = []
    costs: list[float] = []
    flood = subprocess.Popen([sys.executable, str(FLOOD), str(port)])
    atexit.register(flood.kill)
    for _ in range(rounds):
        n_flooded, cost_flooded = lists()
        peak = max(peak, rss())
        flood.send_signal(signal.SIGSTOP)
        time.sleep(0.2)
        n_calm, cost_calm = lists()
        rates.append(n_flooded / n_calm)
        costs.append(cost_calm / cost_flooded)
        flood.send_signal(signal.SIGCONT)
    flood.kill()
    for what, shares in (("CPU second of the server", costs), ("second", rates)):
        yield f"Lists a {what} beside the flood, as a share of those without it: {sorted(shares)[rounds // 2]:.2f} ({min(shares):.2f} to {max(shares):.2f}, {rounds} rounds in turn);"
    yield f"memory {before:.0f} MB before, {peak:.0f} MB at most."
    must(sorted(costs)[rounds // 2] >= 0.5 and peak - before < 20, "headers")
    server.kill()


PARTS = {
    "headers": headers,
    "kills": kills,
    "flips": flips,
    "swaps": swaps,
    "disk": disk,
    "hang": hang,
    "postgres": postgres,
    "slow": slow,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="not needed: the world is made up")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    if args.serve:
        folder = Path(args.serve[0])
        serve([toy_run(folder / "run")], port=int(args.serve[1]), store=folder / "events.sqlite")
        return
    lines = [f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}", ""]
    for name, part in PARTS.items():
        if args.only in (None, name):
            with tempfile.TemporaryDirectory() as temporary:
                found = list(part(Path(temporary), args.rounds) if name == "kills" else part(Path(temporary)))  # type: ignore[operator]
            print("\n".join([f"## {name}", "", *found, ""]), flush=True)
            lines += [f"## {name}", "", *found, ""]
    if args.output:
        args.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
