"""The verb `serve`: runs behind HTTP until interrupted. Safe by default: this machine only, or a key."""

from __future__ import annotations

import ctypes
import errno
import gc
import ipaddress
import logging
import math
import os
import platform
import resource
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from genre.config.serving_options import ServingOptions
from genre.errors import NotAvailable, OptionError
from genre.log import SILENT, Log
from genre.run_folder import read_run
from genre.runs import Run
from genre.serving.events.opening import default_store_path, open_store
from genre.serving.limits import Limits
from genre.serving.service import Service
from genre.storage import published_at
from genre.threads import blas_threads

try:
    import uvicorn

    from genre.serving.http.access import ApiKeys, checked_origins
    from genre.serving.http.app import AddRoutes, create_app
    from genre.serving.http.connections import protocol_with_limits
    from genre.serving.http.keys import read_keys, watch_keys
    from genre.serving.http.pacing import PacedLines
    from genre.serving.http.refreshing import Refresher, parse_interval
except ImportError as error:
    raise NotAvailable(f"serving needs {error.name}: pip install 'genre-rec[serve]'") from error

WATCH_SECONDS = 2.0  # between two looks at the run folders
RETRY_SECONDS = 60.0  # until a new run that did not answer is tried again
_STOPPED = ("KeyboardInterrupt", "CancelledError")  # how the traceback of a server ends that was stopped twice
BACKLOG = 2048  # connections that the system keeps until they are accepted
MIN_CONNECTIONS = 8  # with fewer, a browser alone would wait for itself
MOST_HEAPS = 2  # that threads allocate from
M_ARENA_MAX = -8  # the parameter of mallopt(3) for it
SPARE_FILES = 200  # beside the connections: the event log, the run, compiled kernels


def serve(
    runs: Sequence[Run],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    store: str | Path | None = None,
    api_keys: ApiKeys | Path | None = None,
    origins: Sequence[str] = (),
    shares: Mapping[str, float] | None = None,
    limits: Limits | None = None,
    options: ServingOptions | None = None,
    refresh_every: str | None = None,
    trust: bool = False,
    read: Callable[[Path], Run] = read_run,
    add: AddRoutes | None = None,
    log: Log = SILENT,
) -> None:
    """Serve runs until interrupted. A run whose folder is replaced meanwhile is swapped in once it answers.

    Args:
        runs: the first is the one for callers without a user id.
        host: address to listen on.
        port: 0 for any free one.
        store: path of an SQLite file or address of a PostgreSQL database; None: a file beside the runs.
        api_keys: keys of which callers must send one, or a file of them, which is read again when it changes; needed
            where other machines can reach the address.
        origins: pages of others that may use the service from a browser, such as `https://shop.example`.
        shares: run name -> share of the users; None: equal shares.
        limits: time, rate and size limits; None: the defaults.
        options: how to serve; None: as the config of the first run says.
        refresh_every: interval of refreshes, such as `6h`; None: there are none.
        trust: run code of the run folders in refreshes.
        read: reads a run that was replaced from its folder.
        add: adds routes of its own to the app.
        log: gets a line when serving starts and when a run is swapped.

    Raises:
        OptionError: for an address that others can reach without a key, a file that holds no keys, an origin that is
            none, or runs of several experiments without a store.
        NotAvailable: for a port that is in use.
        StoreError: when the event log cannot be opened.
    """
    every = None if refresh_every is None else parse_interval(refresh_every)
    keys = read_keys(api_keys) if isinstance(api_keys, Path) else api_keys
    _check_host(host, keys)
    checked_origins(origins)
    store = store or default_store(runs)
    share_heaps()
    listening = _listen(host, port)
    limits = limits or Limits()
    connections = _raise_file_limit(limits.connections)
    if connections < limits.connections:
        log.line(f"The limit of open files leaves room for {connections} connections, not {limits.connections}")
        limits = replace(limits, connections=connections)
    events = open_store(store)
    events.claim()
    service = Service(runs, events, shares=shares, limits=limits, options=options)
    hosts = None if keys else frozenset({"localhost", "127.0.0.1", "::1", host})
    config = uvicorn.Config(
        create_app(service, api_keys=keys, hosts=hosts, origins=origins, add=add),
        http=protocol_with_limits(limits),
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=10,
    )
    _quiet_logs()
    stop = threading.Event()
    threading.Thread(target=watch_folders, args=(service, stop), kwargs={"read": read, "log": log}, daemon=True).start()
    if isinstance(api_keys, Path) and keys is not None:
        watch = {"target": watch_keys, "args": (api_keys, keys, stop), "kwargs": {"log": log}}
        threading.Thread(**watch, daemon=True).start()  # type: ignore[arg-type]
    if every is not None:
        folders = {name: service.run(name).folder for name in service.names()}
        refresher = Refresher(folders, str(store), every, trust=trust, log=log)
        service.operations.schedule = refresher.schedule
        threading.Thread(target=refresher.keep_refreshing, args=(stop,), daemon=True).start()
    address = f"[{host}]" if ":" in host else host
    url = f"http://{address}:{listening.getsockname()[1]}{' (with a key)' if keys else ''}"
    log.line(f"Serving {', '.join(service.names())} at {url}")
    try:
        with blas_threads():  # requests are scored side by side; products of a few lists are too small for more
            uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        log.line("Stopped")
    finally:
        stop.set()


def _quiet_logs() -> None:
    """Pace lines that requests cause: one a request would fill the disk."""
    for name in ("uvicorn.error", "asyncio"):
        logging.getLogger(name).addFilter(PacedLines())
    logging.getLogger("uvicorn.error").addFilter(lambda record: not record.getMessage().strip().endswith(_STOPPED))


def watch_folders(
    service: Service,
    stop: threading.Event,
    *,
    read: Callable[[Path], Run] = read_run,
    every: float = WATCH_SECONDS,
    retry: float = RETRY_SECONDS,
    log: Log = SILENT,
) -> None:
    """Watch the folders of the served runs; read, check and swap in a run that was replaced (hot swap).

    A run that cannot be read or does not answer is tried again later, whatever the error.

    Args:
        service: serves the runs.
        stop: ends the watch.
        read: reads a run from its folder.
        every: seconds between two looks.
        retry: seconds until a run that was not taken over is tried again.
        log: gets a line for each swap and each failure.
    """
    folders = {name: service.run(name).folder for name in service.names()}
    seen = {name: published_at(folder) for name, folder in folders.items()}
    retry_at: dict[str, float] = {}
    said: dict[str, str] = {}
    frozen = False
    while not stop.wait(every):
        if service.ready and not frozen:
            freeze_garbage()
            frozen = True
        for name, folder in folders.items():
            now = published_at(folder)
            if now is None or (now == seen[name] and time.monotonic() < retry_at.get(name, math.inf)):
                continue
            seen[name] = now
            retry_at.pop(name, None)
            try:
                service.swap(read(folder), name)
                frozen = False
                log.line(f"{name}: the run in {folder} was replaced and is served now")
            except Exception as error:  # the thread lives on whatever happens, since nothing else takes runs over
                retry_at[name] = time.monotonic() + retry
                service.operations.failed_swaps += 1
                if str(error) != said.get(name):
                    log.line(f"{name}: the run in {folder} was replaced, but the old one goes on: {error}")
                said[name] = str(error)


def freeze_garbage() -> None:
    """Exempt all present objects from garbage collection: they stay, and each collection stops every thread."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def share_heaps() -> None:
    """Let threads allocate from a few heaps in common, where the C library is glibc.

    It gives each thread a heap, up to eight a core, and every one keeps the largest temporary memory of a request that
    it served. The environment variable `MALLOC_ARENA_MAX` goes before.
    """
    if "MALLOC_ARENA_MAX" not in os.environ and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, MOST_HEAPS)


def _check_host(host: str, keys: ApiKeys | None) -> None:
    if keys is None and not _is_local(host):
        raise OptionError(
            f"{host} can be reached from other machines; give a key (--api-key-file), or serve on 127.0.0.1"
        )


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def default_store(runs: Sequence[Run]) -> Path:
    """Return the event log of the runs' experiment; equal ids in another experiment may be other users and items.

    Args:
        runs: The runs.

    Returns:
        Path of an SQLite file beside the runs.

    Raises:
        OptionError: For runs of several experiments.
    """
    first, *others = dict.fromkeys(default_store_path(run.folder) for run in runs)
    if others:
        raise OptionError(
            f"event logs of several experiments: {', '.join(map(str, (first, *others)))}; where all runs are of "
            f"the same data name one for all, such as --store {first}, else serve them apart"
        )
    return first


def _listen(host: str, port: int) -> socket.socket:
    """Open the port before anything else: another program may have it."""
    if not 0 <= port <= 65535:
        raise OptionError(f"a port is a number from 0 to 65535, found {port}")
    try:
        family, *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be listened on ({error.strerror})"
        raise NotAvailable(f"port {port} of {host} {why}; choose another --port or --host") from error


def _raise_file_limit(connections: int) -> int:
    """Let the process open as many files as the system permits; return how many connections that leaves room for."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE_FILES
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    room = max(soft, allowed) - SPARE_FILES
    if room < MIN_CONNECTIONS:
        raise NotAvailable(
            f"this process may open {max(soft, allowed)} files, which leaves no room for connections; raise the "
            f"limit to at least {MIN_CONNECTIONS + SPARE_FILES}, such as by `ulimit -n {wanted}`"
        )
    return min(connections, room)
