"""The n-th step of writing below a folder fails: open, write, fsync, rename, mkdir, link, and the writers in C.

A shim in the process, for a child that was forked for the purpose: `fail_at(n, root)`, then the work. What pyarrow and
safetensors do in C cannot be interrupted from here; each of their files fails once before and once half way.
"""

from __future__ import annotations

import builtins
import errno
import functools
import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

steps: list[str] = []
AUDITED = ("os.remove", "os.rmdir", "os.scandir", "shutil.rmtree", "ctypes.dlopen", "ctypes.dlsym")


def fail_at(n: int, root: Path, *, kill: bool = False) -> None:
    """From now on count steps below `root` into `steps`; the n-th, counted from one, and it alone, raises EIO.

    kill: instead, the process ends there, as by `kill -9`, and what the standard library does below is a step as well.
    """
    steps.clear()
    top = os.path.realpath(root)

    def below(place: Any) -> bool:
        if isinstance(place, int):
            place = Path(f"/proc/self/fd/{place}").readlink()
        return os.path.realpath(os.fsdecode(place)).startswith(top)

    def step(what: str) -> None:
        steps.append(what)
        if len(steps) == n and kill:
            os.kill(os.getpid(), signal.SIGKILL)
        if len(steps) == n:
            raise OSError(errno.EIO, f"injected at step {n}, {what}")

    def failing(function: Callable[..., Any], at: int = 0) -> Callable[..., Any]:
        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            if args and below(args[at]):
                step(f"{function.__name__} {args[at]}")
            return function(*args, **kwargs)

        return called

    class Raw(io.FileIO):
        def write(self, data: Any) -> Any:
            step(f"write {self.name}")
            return super().write(data)

    real = io.open

    @functools.wraps(real)
    def opened(file: Any, mode: str = "r", buffering: int = -1, *args: Any, **kwargs: Any) -> Any:
        if isinstance(file, int) or not set(mode) & set("wxa+") or not below(file):
            return real(file, mode, buffering, *args, **kwargs)
        step(f"open {file}")
        raw = Raw(file, mode.replace("b", "").replace("t", ""))
        buffered = io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, *args, **kwargs)

    if kill:
        sys.addaudithook(lambda event, _: step(event) if event in AUDITED else None)
    io.open = builtins.open = opened  # type: ignore[assignment]
    for name in ("fsync", "rename", "replace", "mkdir", "sendfile", "link", "symlink"):
        setattr(os, name, failing(getattr(os, name)))
    _fail_in_c(step, below)


def _fail_in_c(step: Callable[[str], None], below: Callable[[Any], bool]) -> None:
    import pyarrow.parquet as pq
    import safetensors.numpy

    def halved(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def called(content: Any, path: Any, *args: Any, **kwargs: Any) -> None:
            if not below(path):
                function(content, path, *args, **kwargs)
                return
            step(f"begin {path}")
            function(content, path, *args, **kwargs)
            whole = Path(path).read_bytes()
            os.truncate(path, len(whole) // 2)
            step(f"half {path}")
            with io.FileIO(os.fspath(path), "r+") as file:
                file.write(whole)

        return called

    pq.write_table = halved(pq.write_table)
    safetensors.numpy.save_file = halved(safetensors.numpy.save_file)
