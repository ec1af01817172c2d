"""Dockerfile and compose.yaml, read as Docker would: what they name exists, and what is written has a place to stay."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from genre.cli.main import command_parser
from genre.serving.http.access import HEALTH_PATHS

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")


def value_of(instruction: str) -> str:
    found = re.search(rf"^{instruction}[ =](.*)$", DOCKERFILE, re.MULTILINE)
    assert found, instruction
    return found[1]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
    return loaded


def test_the_command_is_one_that_genre_takes(compose: dict[str, Any]) -> None:
    service = compose["services"]["genre"]
    words = [*json.loads(value_of("ENTRYPOINT")), *service["command"]]
    assert words[0] == "genre"
    args = command_parser().parse_args(words[1:])
    assert args.host == "0.0.0.0"
    assert str(args.api_key_file) == f"/run/secrets/{service['secrets'][0]}"
    assert f":{value_of('EXPOSE')}" in service["ports"][0]
    assert args.port == int(value_of("EXPOSE"))
    assert args.store.startswith("postgresql://genre@postgres/")


def test_the_image_holds_what_it_copies_and_installs() -> None:
    for line in re.findall(r"^COPY (.*)$", DOCKERFILE, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source


def test_what_is_fetched_once_has_a_place_to_stay(compose: dict[str, Any]) -> None:
    service = compose["services"]["genre"]
    cache = value_of("ENV XDG_CACHE_HOME")
    mounts = dict(reversed(mount.split(":")[:2]) for mount in service["volumes"])
    assert mounts[cache] in compose["volumes"], "a volume with a name outlives the container"
    assert cache in json.loads(value_of("VOLUME"))
    assert re.search(rf"mkdir [^&]*{cache}\b.* && chown genre [^&]*{cache}\b", DOCKERFILE), "the user may write there"
    assert service["read_only"] is True
    for named in (name for one in compose["services"].values() for name in one.get("volumes", ())):
        source = named.split(":")[0]
        assert source.startswith("./") or source in compose["volumes"]


def test_nothing_reaches_the_log_from_outside(compose: dict[str, Any]) -> None:
    networks = compose["services"]["postgres"]["networks"]
    assert all(compose["networks"][name]["internal"] for name in networks)
    assert "ports" not in compose["services"]["postgres"]
    assert compose["services"]["genre"]["ports"][0].startswith("127.0.0.1:")
    assert any(path in value_of("HEALTHCHECK.*\\n    CMD") for path in HEALTH_PATHS)
