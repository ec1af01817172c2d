"""A PostgreSQL server for tests, and what happens where a program of the machine is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def missing(what: str, remedy: str) -> None:
    """Skip here, but never where the suite counts."""
    message = f"{what} is not installed: {remedy}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


class PostgresServer:
    """A PostgreSQL server of our own on a socket in a folder of ours."""

    def __init__(self, folder: Path) -> None:
        found = (
            sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres")) if Path("/usr/lib/postgresql").is_dir() else []
        )
        on_path = shutil.which("postgres")
        if not found and on_path is None:
            missing("PostgreSQL", "apt-get install postgresql")
        self.bin = found[-1].parent if found else Path(str(on_path)).resolve().parent
        self.folder, self.data = folder, folder / "data"
        self.as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []  # it refuses to run as root
        if self.as_user:
            shutil.chown(folder, "postgres")
        self._do("initdb", "-D", str(self.data), "-A", "trust", "-U", "genre", "--no-sync", "--no-instructions")
        self.start()

    @property
    def address(self) -> str:
        return f"postgresql://genre@/postgres?host={self.folder}"

    def start(self) -> None:
        self._do(
            "pg_ctl",
            "-D",
            str(self.data),
            "-w",
            "-l",
            str(self.folder / "log"),
            "-o",
            f"-k {self.folder} -h ''",
            "start",
        )

    def stop(self, mode: str = "immediate") -> None:
        self._do("pg_ctl", "-D", str(self.data), "-m", mode, "-w", "stop")

    def pid(self) -> int:
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def _do(self, program: str, *arguments: str) -> None:
        command = [*self.as_user, str(self.bin / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
