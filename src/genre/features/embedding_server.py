"""Encoder `embedding_server`: an OpenAI-compatible server makes the vectors. Knows nothing about recommending.

Each text is one exchange of the ledger of language models: none is paid for twice, and the caps hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar, Self

import numpy as np
import pyarrow as pa
from typing_extensions import override

from genre.arrays import Float32
from genre.display import counted
from genre.errors import LLMError
from genre.features.base import Encoder, digest_texts
from genre.features.text import TEMPLATE_DOC, legal, render
from genre.llm.budget import Budget
from genre.llm.ledger import Ledger
from genre.llm.openai import OPENAI_URL, OpenAIEmbeddings
from genre.llm.prompt import Prompt
from genre.llm.request_options import check_request_options
from genre.llm.settings import LLMOptions
from genre.log import SILENT, Log
from genre.options import Doc, Ge, Gt, Le

PROMPT = Prompt("embedding", "{{text}}")
"""What the ledger calls these exchanges; the text itself is sent."""


@dataclass(eq=False)
class EmbeddingServer(Encoder):
    """The vector that a model of a server gives each text, made of length one. Texts leave this machine.

    `fit` learns the number of values from the first text.
    """

    learns: ClassVar[tuple[str, ...]] = ("dim_",)

    model: Annotated[str, Doc("Name of the embedding model at the server, such as text-embedding-3-small.")]
    base_url: Annotated[str, Doc("Address of the server.")] = OPENAI_URL
    key_variable: Annotated[
        str, Doc("Name of the environment variable that holds the key; empty: the server needs none.")
    ] = "OPENAI_API_KEY"
    template: Annotated[str, Doc(TEMPLATE_DOC)] = ""
    most_characters: Annotated[
        int, Ge(1), Doc("Characters after which a text is cut, since servers refuse long ones.")
    ] = 8000
    price: Annotated[float, Ge(0), Doc("Money for a million tokens.")] = 0.0
    calls: Annotated[Annotated[int, Ge(0)] | None, Doc("Most calls, each of one text; None: no cap.")] = None
    money: Annotated[Annotated[float, Ge(0)] | None, Doc("Most money by `price`; None: no cap.")] = None
    ledger: Annotated[
        str | None,
        Doc("SQLite file of all exchanges; None: one file for all runs of this user; `:memory:` keeps nothing."),
    ] = None
    concurrency: Annotated[int, Ge(1), Le(256), Doc("Calls under way at once.")] = 8
    timeout_seconds: Annotated[float, Gt(0), Doc("Seconds until an attempt is given up.")] = 60.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_request_options(self.base_url, self.key_variable, {}, {})

    @override
    def texts(self, table: pa.Table) -> list[str]:
        return render(table, self.template)

    @override
    def fit(self, table: pa.Table, *, log: Log = SILENT) -> Self:
        first = next(filter(None, map(self._cut, self.texts(table))), "")
        self.dim_ = len(next(iter(self._vectors([first], SILENT).values()), [0.0]))
        return self

    @override
    def encode_texts(self, texts: Sequence[str], *, log: Log = SILENT) -> Float32:
        before, texts = self._open.spent(), [*map(self._cut, texts)]
        vectors = self._vectors(texts, log)
        sizes = {len(vector) for vector in vectors.values()}
        dim = getattr(self, "dim_", max(sizes, default=1))
        if sizes - {dim}:
            found = ", ".join(map(str, sorted({*sizes, dim})))
            raise LLMError(f"embedding_server: {self.base_url} gave vectors of {found} values; name one model")
        out: Float32 = np.zeros((len(texts), dim), np.float32)
        for row, text in enumerate(texts):
            if text in vectors:
                out[row] = vectors[text]
        out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        log.line(f"embedding_server: {len(texts):,} texts, {self._open.spent().calls - before.calls:,} sent")
        return out

    def _cut(self, text: str) -> str:
        return legal(text)[: self.most_characters]

    def _vectors(self, texts: Sequence[str], log: Log) -> dict[str, list[float]]:
        """Return the vector of each different text that is not empty."""
        sent = [*filter(None, dict.fromkeys(texts))]
        answers = self._open.likelihood(PROMPT, sent, [("",)] * len(sent), log=log)
        if failed := [answer for answer in answers if answer.outcome != "ok"]:
            raise LLMError(
                f"embedding_server: {self.base_url}: {counted(len(failed), 'text')} of {len(sent):,} without a vector, "
                f"the first: {failed[0].error}; vectors that came are kept, run it again"
            )
        return dict(zip(sent, (answer.numbers() for answer in answers), strict=True))

    @cached_property
    def _open(self) -> Ledger:
        """The ledger of the exchanges; its job is the model, so that the caps hold over all runs."""
        provider = OpenAIEmbeddings(
            self.model,
            self.base_url,
            self.key_variable,
            concurrency=self.concurrency,
            timeout_seconds=self.timeout_seconds,
            price_in=self.price,
        )
        budget = Budget(calls=self.calls, money=self.money)
        return LLMOptions(provider, budget, self.ledger, job=f"embeddings of {self.model}").open()

    @property
    @override
    def fingerprint(self) -> str:
        return digest_texts([self._open.model.fingerprint, self.template, str(self.most_characters)])
