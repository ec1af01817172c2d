"""Encoder `embedding_server`: vectors of a server, through the ledger and its caps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from genre.errors import BudgetExceeded, LLMError, OptionError
from genre.features.embedding_server import EmbeddingServer
from genre.llm.ledger_table import read_log
from llm_server import as_vectors, serving

if TYPE_CHECKING:
    from llm_server import TestServer

TEXTS = ["sea", "", "a moor", "sea", "oak"]


def encoder(server: TestServer, folder: Path, **more: object) -> EmbeddingServer:
    options = {"base_url": server.url, "key_variable": "", "ledger": str(folder / "ledger.sqlite"), "price": 5.0}
    return EmbeddingServer("tiny", **{**options, **more})  # type: ignore[arg-type]


def test_each_different_text_is_sent_once_and_never_again(tmp_path: Path) -> None:
    with serving(change=as_vectors) as server:
        made = encoder(server, tmp_path).encode_texts(TEXTS)
        again = encoder(server, tmp_path, calls=3).encode_texts(TEXTS)  # all of its calls are spent
    assert sorted(request["input"] for request in server.requests) == ["a moor", "oak", "sea"]
    assert {path.rpartition("/")[2] for path in server.paths} == {"embeddings"}
    sea = np.array([1, 1, 0, 0, 0, 3]) / np.sqrt(11)
    assert np.allclose(made[0], sea, atol=1e-6)
    assert not made[1].any()
    assert (made[0] == made[3]).all()
    assert (again == made).all()
    log = read_log(tmp_path / "ledger.sqlite")
    assert [(row.tokens_in, row.tokens_out, row.money) for row in log] == [(4, 0, 4 * 5 / 1e6)] * 3


def test_the_cap_holds_and_what_came_is_kept(tmp_path: Path) -> None:
    with serving(change=as_vectors) as server:
        with pytest.raises(BudgetExceeded, match="the budget of 2 calls is used up"):
            encoder(server, tmp_path, calls=2, concurrency=1).encode_texts(TEXTS)
        assert len(server.requests) == 2
        encoder(server, tmp_path, calls=3).encode_texts(TEXTS)
    assert len(server.requests) == 3


def test_the_key_is_sent_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "very-secret-key")
    with serving("400") as server, pytest.raises(LLMError, match="1 text of 1 without a vector") as caught:
        encoder(server, tmp_path, key_variable="MY_KEY").encode_texts(["sea"])
    assert server.keys[0] == "Bearer very-secret-key"
    assert "very-secret-key" not in str(caught.value)
    monkeypatch.delenv("MY_KEY")
    with serving(change=as_vectors) as server, pytest.raises(LLMError, match="MY_KEY holds no key"):
        encoder(server, tmp_path, key_variable="MY_KEY").encode_texts(["oak"])


def test_an_answer_without_a_vector_is_no_vector(tmp_path: Path) -> None:
    with serving(change=lambda request, whole: whole) as server, pytest.raises(LLMError, match="did not answer as an"):
        encoder(server, tmp_path).encode_texts(["sea"])
    with serving(change=as_vectors) as server, pytest.raises(OptionError, match="no address"):
        encoder(server, tmp_path, base_url="sea")


def test_vectors_of_different_lengths_are_refused(tmp_path: Path) -> None:
    def shorter(request: dict[str, object], whole: dict[str, object]) -> object:
        answer = as_vectors(request, whole)
        del answer["data"][0]["embedding"][len(str(request["input"])) :]
        return answer

    with serving(change=shorter) as server, pytest.raises(LLMError, match="vectors of 3, 6 values"):
        encoder(server, tmp_path).encode_texts(["sea", "a moor"])


def test_prices_and_caps_change_no_vector(tmp_path: Path) -> None:
    with serving(change=as_vectors) as server:
        one = encoder(server, tmp_path)
        assert one.fingerprint == encoder(server, tmp_path, price=9.0, calls=7).fingerprint
        assert one.fingerprint != encoder(server, tmp_path, template="{title}").fingerprint
