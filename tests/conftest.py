"""Options of the whole suite."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from postgres_server import PostgresServer

# Read when torch is loaded, here and in the processes that tests start: threads that wait for work in a loop double the
# CPU time of networks as small as these.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Read when NumPy and SciPy are loaded: their threads wait in loops, too, and matrices of a test are too small to share.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# The same examples every time, so that a run can be repeated; HYPOTHESIS_PROFILE=searching looks for new ones,
# HYPOTHESIS_PROFILE=nightly looks for many and runs the full sizes of docs/reliability.md.
# No deadline: the first example also pays for imports and the compilation of kernels.
settings.register_profile("steady", derandomize=True, max_examples=60, deadline=None)
settings.register_profile("searching", max_examples=1000, deadline=None)
settings.register_profile("nightly", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", action="store_true", help="write golden values and pictures anew; read the diff")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with tempfile.TemporaryDirectory(prefix="genre-pg-") as folder:  # pytest's own folders are root's alone
        server = PostgresServer(Path(folder))
        yield server
        server.stop()
