"""Any OpenAI-compatible endpoint through the official client: OpenAI, Ollama, vLLM, a llama.cpp server.

The key is read from the environment variable that `key_variable` names, at the moment of a call; it is never stored,
logged or part of a fingerprint.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from genre.errors import LLMError, NotAvailable, OptionError
from genre.llm.base import Completion, LanguageModel, Outcome, Schema, likelihoods, one_line
from genre.options import Ge, Gt, Le

OWN = "https://api.openai.com/v1"
NEVER_LEFT = ("ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol")
"""Errors of the HTTP library under the client, which changed its name once, after which nothing can be billed."""
UNKEPT = ("minLength", "maxLength", "pattern", "uniqueItems", "title", "default")
"""What strict mode of the OpenAI API does not take; GENRE checks it again after the answer."""


@dataclass(eq=False)
class OpenAI(LanguageModel):
    """Chat completions of an OpenAI-compatible server.

    model: its name at the server. base_url: where the server is.
    key_variable: name of the environment variable that holds the key; empty: the server wants none.
    structured: how a JSON Schema is asked for. strict: OpenAI's guarantee; schema: llama.cpp, vLLM, Ollama; object:
        any JSON; none: by words alone.
    temperature, seed: sampling; None: as the server likes (models that reason take no temperature).
    max_tokens: longest answer.
    concurrency: calls under way at once. requests_per_minute: no more than this; None: no limit.
    timeout_seconds: of one attempt. attempts: how often a call is tried, with backoff; each is an exchange of its own.
    price_in, price_out: money for a million tokens, for plans and budgets.
    """

    model: str
    base_url: str = OWN
    key_variable: str = "OPENAI_API_KEY"
    structured: Literal["strict", "schema", "object", "none"] = "strict"
    temperature: Annotated[float, Ge(0), Le(2)] | None = 0.0
    seed: int | None = 0
    max_tokens: Annotated[int, Ge(1)] = 300
    concurrency: Annotated[int, Ge(1), Le(256)] = 8
    requests_per_minute: Annotated[float, Gt(0)] | None = None
    timeout_seconds: Annotated[float, Gt(0)] = 60.0
    attempts: Annotated[int, Ge(1), Le(10)] = 4
    price_in: Annotated[float, Ge(0)] = 0.0
    price_out: Annotated[float, Ge(0)] = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        where = urlsplit(self.base_url)
        if where.username is not None:
            raise OptionError("OpenAI: base_url: holds a user or password; put the key where key_variable says")
        if where.scheme not in ("http", "https") or not where.hostname:
            raise OptionError(f"OpenAI: base_url: {self.base_url!r} is no address; such as http://localhost:11434/v1")
        self._lock = threading.Lock()
        self._next = 0.0

    @property
    def fingerprint(self) -> str:
        how = f"{self.structured}, temperature {self.temperature}, seed {self.seed}, max_tokens {self.max_tokens}"
        return f"openai {self.base_url.rstrip('/')} {self.model} ({how})"

    def check(self) -> None:
        self._key()
        _ = self._client

    def _complete(self, prompt: str, schema: Schema | None) -> Completion:
        return self._ask(prompt, self.max_tokens, response_format=self._response_format(schema))[0]

    def _likelihood(self, prompt: str, continuations: Sequence[str]) -> Completion:
        """Of labels of one token, as the first token of the answer: ln P among the twenty likeliest, else less."""
        if any(len(text.split()) > 1 for text in continuations):
            return Completion("", "failed", error="this server tells the likelihood of single words only; use labels")
        completion, choice = self._ask(prompt, 1, logprobs=True, top_logprobs=20)
        if completion.outcome == "failed":
            return completion
        tokens = choice.logprobs.content[0].top_logprobs if choice.logprobs and choice.logprobs.content else []
        if not tokens:
            return Completion("", "failed", error="the server told no log probabilities")
        best: dict[str, float] = {}
        for token in tokens:  # "A" and " A" are the same label
            label = token.token.strip()
            best[label] = max(token.logprob, best.get(label, -1e9))
        floor = min(token.logprob for token in tokens) - 1.0
        values = likelihoods([best.get(text.strip(), floor) for text in continuations])
        return dataclasses.replace(completion, text=values.text, outcome=values.outcome, error=values.error)

    def _ask(self, prompt: str, max_tokens: int, **request: Any) -> tuple[Completion, Any]:
        """One chat completion and the raw choice behind it."""
        key = self._key()
        newest = self.base_url.startswith(OWN)  # OpenAI's own models want the new name, other servers know the old one
        request["max_completion_tokens" if newest else "max_tokens"] = max_tokens
        request |= {"temperature": self.temperature, "seed": self.seed}
        self._pace()
        start = time.perf_counter()
        try:
            answer = self._client.with_options(api_key=key).chat.completions.create(
                model=self.model,
                messages=[{"role": "user", "content": prompt}],
                **{name: value for name, value in request.items() if value is not None},
            )
            choice, usage = answer.choices[0], answer.usage
            text = choice.message.content or ""
        except Exception as error:
            said = self._said(error)
            why = one_line(said.replace(key, "***") if self.key_variable else said)
            after, lost = _after(error)
            seconds = time.perf_counter() - start
            return Completion("", "failed", seconds=seconds, error=why, lost=lost, retry_after=after), None
        return Completion(
            text,
            _outcome(choice),
            tokens_in=usage.prompt_tokens if usage else 0,
            tokens_out=usage.completion_tokens if usage else 0,
            seconds=time.perf_counter() - start,
        ), choice

    def _said(self, error: Exception) -> str:
        """What went wrong, for people."""
        from openai import APIConnectionError, APIError, APITimeoutError

        if isinstance(error, APITimeoutError):
            return f"no answer within {self.timeout_seconds:g} s"
        if isinstance(error, APIConnectionError):
            return f"no connection to {self.base_url}: {error.__cause__ or error}"
        if isinstance(error, APIError):
            return f"{type(error).__name__}: {error}"
        return f"{self.base_url} did not answer as an OpenAI-compatible server does ({type(error).__name__}: {error})"

    @functools.cached_property
    def _client(self) -> Any:
        """One pool of connections; it holds no key."""
        try:
            from openai import OpenAI as Client
        except ImportError as error:
            raise NotAvailable("an OpenAI-compatible server needs openai: pip install 'genre-rec[llm]'") from error
        return Client(api_key="unset", base_url=self.base_url, timeout=self.timeout_seconds, max_retries=0)

    def _key(self) -> str:
        if not self.key_variable:
            return "none"
        key = os.environ.get(self.key_variable, "")
        if not key:
            raise LLMError(f"the environment variable {self.key_variable} holds no key; set it to the server's key")
        return key

    def _pace(self) -> None:
        """Wait until the next request may leave."""
        if self.requests_per_minute is None:
            return
        with self._lock:
            now = time.monotonic()
            wait = max(0.0, self._next - now)
            self._next = max(now, self._next) + 60 / self.requests_per_minute
        time.sleep(wait)

    def _response_format(self, schema: Schema | None) -> dict[str, Any] | None:
        if schema is None or self.structured == "none":
            return None
        if self.structured == "object":
            return {"type": "json_object"}
        strict = self.structured == "strict"
        body = _without(schema) if strict else schema
        return {"type": "json_schema", "json_schema": {"name": "answer", "schema": body, "strict": strict}}


def _after(error: Exception) -> tuple[float | None, bool]:
    """Seconds until another attempt may end better, None for never; and whether this one may be billed all the same."""
    from openai import APIConnectionError, APIStatusError

    if isinstance(error, APIConnectionError):  # a time-out is one
        return 0.0, type(error.__cause__).__name__ not in NEVER_LEFT
    if isinstance(error, APIStatusError) and (error.status_code in (408, 409, 429) or error.status_code >= 500):
        milliseconds, seconds = (error.response.headers.get(name, "") for name in ("retry-after-ms", "retry-after"))
        wish = float(milliseconds) / 1000 if _is_number(milliseconds) else float(seconds) if _is_number(seconds) else 0
        return wish, False
    return None, False


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


def _outcome(choice: Any) -> Outcome:
    if getattr(choice.message, "refusal", None) or choice.finish_reason == "content_filter":
        return "refused"
    return "truncated" if choice.finish_reason == "length" else "ok"


def _without(schema: Any) -> Any:
    """The schema without the keywords of `UNKEPT`, at every depth (names of properties are no keywords)."""
    if isinstance(schema, list):
        return [_without(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _without(part) for name, part in value.items()} if key == "properties" else _without(value)
        for key, value in schema.items()
        if key not in UNKEPT
    }
