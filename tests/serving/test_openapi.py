"""Schemathesis over the service's own OpenAPI description: what it makes up never gets a 5xx or an unstated shape."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from genre.recommenders.ease import EASE
from genre.runs import Run
from genre.serving.http import create_app
from genre.serving.service import Service
from genre.serving.store import SQLiteStore
from genre.testing import toy_dataset

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
    negative_data_rejection,
]


def description() -> dict[str, Any]:
    """What the app says of itself; it is asked over a socket, by `own_url`."""
    data = toy_dataset()
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), "toy", data, {"ease": EASE(10.0).fit(data)})
        return create_app(Service([run], SQLiteStore(Path(folder) / "events.sqlite"))).openapi()


schema = schemathesis.openapi.from_dict(description())


@pytest.fixture(scope="module")
def own_url(run: Run, tmp_path_factory: pytest.TempPathFactory, serve_app: Any) -> Iterator[str]:
    """A service of its own: what is put into this one, nobody else should meet."""
    service = Service([run], SQLiteStore(tmp_path_factory.mktemp("openapi") / "events.sqlite"))
    service.warm()
    with serve_app(create_app(service)) as address:
        yield address


@schema.parametrize()
@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_route_keeps_its_word(case: schemathesis.Case, own_url: str) -> None:
    case.call_and_validate(base_url=own_url, checks=CHECKS)
