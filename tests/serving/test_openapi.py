"""Schemathesis over the service's own OpenAPI description: what it makes up never gets a 5xx or an unstated shape."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

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
    """What the app says of itself; it is asked over a socket, by the `url` fixture."""
    data = toy_dataset()
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), "toy", data, {"ease": EASE(10.0).fit(data)})
        return create_app(Service([run], SQLiteStore(Path(folder) / "events.sqlite"))).openapi()


schema = schemathesis.openapi.from_dict(description())


@schema.parametrize()
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_route_keeps_its_word(case: schemathesis.Case, url: str) -> None:
    case.call_and_validate(base_url=url, checks=CHECKS)
