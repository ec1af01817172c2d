"""`serve`: runs behind HTTP until it is stopped. Safe by default: this machine only, or a key."""

from __future__ import annotations

import errno
import gc
import ipaddress
import logging
import math
import resource
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from genre.errors import ArtifactError, GenreError, NotAvailable, OptionError
from genre.log import SILENT, Log
from genre.runs import Run, read_run
from genre.serving.events.opening import beside, open_store
from genre.serving.limits import Limits
from genre.serving.service import Service

try:
    import uvicorn

    from genre.serving.http.app import create_app
    from genre.serving.http.timeouts import patient
except ImportError as error:
    raise NotAvailable(f"serving needs {error.name}: pip install 'genre-rec[serve]'") from error

SHORTEST_KEY = 16
LOOK_SECONDS = 2.0
AGAIN_SECONDS = 60.0  # after which a run that did not answer its trial is tried again
WAITING_CONNECTIONS = 2048  # that the system keeps for us until we take them
SPARE_FILES = 200  # beside the connections: the log, the run, the machine code of kernels


def serve(
    runs: Sequence[Run],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    store: str | Path | None = None,
    api_key: str | None = None,
    shares: Mapping[str, float] | None = None,
    limits: Limits | None = None,
    log: Log = SILENT,
) -> None:
    """Serve runs until interrupted. A run whose folder is replaced meanwhile is taken over once it has proved well.

    store: path of an SQLite file or address of a PostgreSQL database; beside the runs without. port: 0 for any.
    shares: how users are split over the runs. Raises OptionError for an address that others can reach without a key,
    a key that is too short, or runs of several experiments without a store; NotAvailable for a port that is in use;
    StoreError when the log cannot be opened.
    """
    _check(host, api_key)
    store = store or _log_of(runs)
    listening = _listen(host, port)
    limits = limits or Limits()
    allowed = _allow_files(limits.connections)
    service = Service(runs, open_store(store), shares=shares, limits=limits)
    hosts = None if api_key else frozenset({"localhost", "127.0.0.1", "::1", host})
    app = create_app(service, api_key=api_key, hosts=hosts)
    config = uvicorn.Config(
        app,
        http=patient(allowed, limits.receive_seconds, limits.send_seconds),
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=10,
    )
    logging.getLogger("uvicorn.error").addFilter(lambda record: "KeyboardInterrupt" not in record.getMessage())
    stop = threading.Event()
    watcher = threading.Thread(target=watch, args=(service, stop), kwargs={"log": log}, daemon=True)
    watcher.start()
    address = f"[{host}]" if ":" in host else host
    where = f"http://{address}:{listening.getsockname()[1]}{' (with a key)' if api_key else ''}"
    log.line(f"Serving {', '.join(service.names())} at {where}")
    try:
        uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        log.line("Stopped")
    finally:
        stop.set()


def watch(
    service: Service,
    stop: threading.Event,
    *,
    read: Callable[[Path], Run] = read_run,
    every: float = LOOK_SECONDS,
    again: float = AGAIN_SECONDS,
    log: Log = SILENT,
) -> None:
    """Look after the folders of the served runs; one that changed is read, tried and swapped in.

    A run that does not answer its trial is tried again after `again` seconds; a damaged one is left alone. Looks after
    the garbage of the process, too.
    """
    folders = {name: service.run(name).folder for name in service.names()}
    seen = {name: _signature(folder) for name, folder in folders.items()}
    waiting: dict[str, float] = {}
    settled = False
    while not stop.wait(every):
        if service.ready and not settled:
            settle()
            settled = True
        for name, folder in folders.items():
            now = _signature(folder)
            if now is None or (now == seen[name] and time.monotonic() < waiting.get(name, math.inf)):
                continue
            seen[name] = now
            waiting.pop(name, None)
            try:
                service.swap(read(folder), name)
                settled = False
                log.line(f"{name}: the run in {folder} was replaced and is served now")
            except GenreError as error:
                if not isinstance(error, ArtifactError):
                    waiting[name] = time.monotonic() + again
                log.line(f"{name}: the run in {folder} was replaced, but the old one goes on: {error}")


def settle() -> None:
    """What is there now stays: collecting garbage, which stops every thread, need not look at it each time."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _signature(folder: Path) -> tuple[int, int] | None:
    """Changes when a whole folder is put in its place."""
    try:
        found = (folder / "manifest.json").stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check(host: str, api_key: str | None) -> None:
    if api_key is None and not _is_local(host):
        raise OptionError(
            f"{host} can be reached from other machines; give a key (--api-key-file), or serve on 127.0.0.1"
        )
    if api_key is not None and len(api_key) < SHORTEST_KEY:
        raise OptionError(f"a key needs at least {SHORTEST_KEY} characters, found {len(api_key)}")


def _log_of(runs: Sequence[Run]) -> Path:
    """The log of the experiment that all runs are of: equal ids in another's may mean other users and items."""
    first, *others = dict.fromkeys(beside(run.folder) for run in runs)
    if others:
        raise OptionError(
            f"event logs of several experiments: {', '.join(map(str, (first, *others)))}; where all runs are of "
            f"the same data name one for all, such as --store {first}, else serve them apart"
        )
    return first


def _listen(host: str, port: int) -> socket.socket:
    """Before anything is said or opened: the port may be somebody else's."""
    if not 0 <= port <= 65535:
        raise OptionError(f"a port is a number from 0 to 65535, found {port}")
    try:
        family, *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((host, port), family=family, backlog=WAITING_CONNECTIONS)
    except OSError as error:
        why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be listened on ({error.strerror})"
        raise NotAvailable(f"port {port} of {host} {why}; choose another --port or --host") from error


def _allow_files(connections: int) -> int:
    """Let the process open as many files as it may; how many connections that leaves room for."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE_FILES
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return min(connections, max(soft, allowed) - SPARE_FILES)
