"""Schemathesis over the service's own OpenAPI description: what it makes up never gets a 5xx or an unstated shape."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from genre.recommenders.ease import EASE
from genre.runs import Run
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.http.app import create_app
from genre.serving.service import Service
from genre.testing import toy_dataset
from sizes import sized

DEPENDS = re.compile(
    r"items have no field|is in the future|rules\[|no kind of event|leave `weight` out|needs `"
    r"|expected a date such as|is not after start|its end .* has passed|context: .* is not known|is given twice"
)
"""Refusals that a description cannot foretell: they depend on the catalogue, the clock and the kind of a rule."""


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
    max_examples=sized(10, 200),
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_route_keeps_its_word(case: schemathesis.Case, own_url: str) -> None:
    response = case.call(base_url=own_url)
    left_out = []
    if response.status_code == 422 and DEPENDS.search(response.text):
        left_out.append(positive_data_acceptance)
    if response.status_code == 413:  # a refusal, which the check does not count as one
        left_out.append(negative_data_rejection)
    case.validate_response(response, excluded_checks=left_out)
