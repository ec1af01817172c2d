"""Provider `openai`: any OpenAI-compatible server through the official client: OpenAI, Ollama, vLLM, llama.cpp.

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

from typing_extensions import override

from genre.errors import LLMError, NotAvailable, OptionError
from genre.llm.base import Completion, LanguageModel, Outcome, Schema, likelihoods, one_line
from genre.options import Doc, Ge, Gt, Le

OPENAI_URL = "https://api.openai.com/v1"
NEVER_SENT = ("ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol")
"""Errors before anything was sent, after which nothing is billed; by name, since the library behind them changes."""
UNSUPPORTED = ("minLength", "maxLength", "pattern", "uniqueItems", "title", "default")
"""Keywords that strict mode of the OpenAI API refuses; GENRE checks them again after the answer."""


@dataclass(eq=False)
class OpenAI(LanguageModel):
    """Chat completions of an OpenAI-compatible server."""

    model: Annotated[str, Doc("Name of the model at the server.")]
    base_url: Annotated[str, Doc("Address of the server.")] = OPENAI_URL
    key_variable: Annotated[
        str, Doc("Name of the environment variable that holds the key; empty: the server needs none.")
    ] = "OPENAI_API_KEY"
    structured: Annotated[
        Literal["strict", "schema", "object", "none"],
        Doc(
            "How a JSON Schema is sent. strict: with OpenAI's guarantee; schema: llama.cpp, vLLM, Ollama; object: any "
            "JSON; none: only in the words of the prompt."
        ),
    ] = "strict"
    temperature: Annotated[
        Annotated[float, Ge(0), Le(2)] | None,
        Doc("Randomness of sampling; None: the server's default, which reasoning models need."),
    ] = 0.0
    seed: Annotated[int | None, Doc("Seed of sampling; None: none is sent.")] = 0
    max_tokens: Annotated[int, Ge(1), Doc("Longest answer, in tokens.")] = 300
    concurrency: Annotated[int, Ge(1), Le(256), Doc("Calls under way at once.")] = 8
    requests_per_minute: Annotated[Annotated[float, Gt(0)] | None, Doc("Most calls a minute; None: no limit.")] = None
    timeout_seconds: Annotated[float, Gt(0), Doc("Seconds until an attempt is given up.")] = 60.0
    attempts: Annotated[
        int, Ge(1), Le(10), Doc("How often a call is tried, with growing waits; each attempt is recorded and counted.")
    ] = 4
    price_in: Annotated[float, Ge(0), Doc("Money for a million tokens of prompts, for plans and budgets.")] = 0.0
    price_out: Annotated[float, Ge(0), Doc("Money for a million tokens of answers, for plans and budgets.")] = 0.0

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
    @override
    def fingerprint(self) -> str:
        how = f"{self.structured}, temperature {self.temperature}, seed {self.seed}, max_tokens {self.max_tokens}"
        return f"openai {self.base_url.rstrip('/')} {self.model} ({how})"

    @override
    def check(self) -> None:
        self._key()
        _ = self._client

    def _complete(self, prompt: str, schema: Schema | None) -> Completion:
        return self._request(prompt, self.max_tokens, response_format=self._response_format(schema))[0]

    def _likelihood(self, prompt: str, continuations: Sequence[str]) -> Completion:
        """Score labels of one token by the first token of the answer: ln P among the twenty likeliest, else less."""
        if any(len(text.split()) > 1 for text in continuations):
            return Completion("", "failed", error="this server scores single words only; use labels")
        completion, choice = self._request(prompt, 1, logprobs=True, top_logprobs=20)
        if completion.outcome == "failed":
            return completion
        tokens = choice.logprobs.content[0].top_logprobs if choice.logprobs and choice.logprobs.content else []
        if not tokens:
            return Completion("", "failed", error="the server sent no log probabilities")
        best: dict[str, float] = {}
        for token in tokens:  # "A" and " A" are the same label
            label = token.token.strip()
            best[label] = max(token.logprob, best.get(label, -1e9))
        floor = min(token.logprob for token in tokens) - 1.0
        values = likelihoods([best.get(text.strip(), floor) for text in continuations])
        return dataclasses.replace(completion, text=values.text, outcome=values.outcome, error=values.error)

    def _request(self, prompt: str, max_tokens: int, **fields: Any) -> tuple[Completion, Any]:
        """Send one chat completion; return it with the client's `choice` object, None after a failure."""
        key = self._key()
        newest = self.base_url.startswith(OPENAI_URL)  # OpenAI renamed the field, other servers know the old name
        fields["max_completion_tokens" if newest else "max_tokens"] = max_tokens
        fields |= {"temperature": self.temperature, "seed": self.seed}
        self._pace()
        start = time.perf_counter()
        try:
            answer = self._client.with_options(api_key=key).chat.completions.create(
                model=self.model,
                messages=[{"role": "user", "content": prompt}],
                **{name: value for name, value in fields.items() if value is not None},
            )
            choice, usage = answer.choices[0], answer.usage
            text = choice.message.content or ""
        except Exception as error:
            message = self._message(error)
            message = one_line(message.replace(key, "***") if self.key_variable else message)
            retry_after, lost = _retry(error)
            seconds = time.perf_counter() - start
            return Completion("", "failed", seconds=seconds, error=message, lost=lost, retry_after=retry_after), None
        return Completion(
            text,
            _outcome(choice),
            tokens_in=usage.prompt_tokens if usage else 0,
            tokens_out=usage.completion_tokens if usage else 0,
            seconds=time.perf_counter() - start,
        ), choice

    def _message(self, error: Exception) -> str:
        """Describe an error of the client for people."""
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
        """The client with its pool of connections; it holds no key."""
        try:
            from openai import OpenAI as Client
        except ImportError as error:
            raise NotAvailable("an OpenAI-compatible server needs openai: pip install 'genre-rec[llm]'") from error
        return Client(api_key="unset", base_url=self.base_url, timeout=self.timeout_seconds, max_retries=0)

    def _key(self) -> str:
        """Read the key from its environment variable."""
        if not self.key_variable:
            return "none"
        key = os.environ.get(self.key_variable, "")
        if not key:
            raise LLMError(f"the environment variable {self.key_variable} holds no key; set it to the server's key")
        return key

    def _pace(self) -> None:
        """Wait until `requests_per_minute` allows the next call."""
        if self.requests_per_minute is None:
            return
        with self._lock:
            now = time.monotonic()
            wait = max(0.0, self._next - now)
            self._next = max(now, self._next) + 60 / self.requests_per_minute
        time.sleep(wait)

    def _response_format(self, schema: Schema | None) -> dict[str, Any] | None:
        """Return the field that requests an answer of a JSON Schema."""
        if schema is None or self.structured == "none":
            return None
        if self.structured == "object":
            return {"type": "json_object"}
        strict = self.structured == "strict"
        body = _supported(schema) if strict else schema
        return {"type": "json_schema", "json_schema": {"name": "answer", "schema": body, "strict": strict}}


def _retry(error: Exception) -> tuple[float | None, bool]:
    """Return seconds until another attempt may end better (None: never), and whether this one may be billed."""
    from openai import APIConnectionError, APIStatusError

    if isinstance(error, APIConnectionError):  # a time-out is one
        return 0.0, type(error.__cause__).__name__ not in NEVER_SENT
    if isinstance(error, APIStatusError) and (error.status_code in (408, 409, 429) or error.status_code >= 500):
        milliseconds, seconds = (error.response.headers.get(name, "") for name in ("retry-after-ms", "retry-after"))
        wait = float(milliseconds) / 1000 if _is_number(milliseconds) else float(seconds) if _is_number(seconds) else 0
        return wait, False
    return None, False


def _is_number(text: str) -> bool:
    """Tell whether a header holds a number of seconds, and not a date."""
    return text.replace(".", "", 1).isdigit()


def _outcome(choice: Any) -> Outcome:
    """Return how the model ended its answer."""
    if getattr(choice.message, "refusal", None) or choice.finish_reason == "content_filter":
        return "refused"
    return "truncated" if choice.finish_reason == "length" else "ok"


def _supported(schema: Any) -> Any:
    """Return a schema without the keywords of `UNSUPPORTED`, at every depth (names of properties are no keywords)."""
    if isinstance(schema, list):
        return [_supported(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _supported(part) for name, part in value.items()} if key == "properties" else _supported(value)
        for key, value in schema.items()
        if key not in UNSUPPORTED
    }
