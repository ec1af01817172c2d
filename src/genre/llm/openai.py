"""Provider `openai`: any OpenAI-compatible server through the official client: OpenAI, Ollama, vLLM, llama.cpp.

The key is read from the environment variable that `key_variable` names, at the moment of a call; it is never stored,
logged or part of a fingerprint.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from typing_extensions import override

from genre.errors import LLMError, NotAvailable, OptionError
from genre.llm.attempt_limits import AttemptLimits, Elsewhere, TooLarge, TooLate, refuse_elsewhere
from genre.llm.base import Completion, LanguageModel, Outcome, Schema, likelihoods, one_line
from genre.options import Doc, Ge, Gt, Le

OPENAI_URL = "https://api.openai.com/v1"
NEVER_SENT = ("ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol")
"""Errors before anything was sent, after which nothing is billed; by name, since the library behind them changes."""
RETRIED = (408, 409, 429)
"""Statuses below 500 after which another attempt may end better."""
THOUGHTS = ("thinking", "reasoning", "redacted_thinking")  # types of parts that are no answer
MOST_TOKENS = 10_000_000  # in a believable count
MOST_BYTES = 4_000_000  # of an answer with its headers; a hundred thousand tokens of thoughts are half a megabyte
SHORTEST_MASKED = 6  # characters of a key that is masked in answers, too: a shorter word is no secret
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
    timeout_seconds: Annotated[float, Gt(0), Doc("Seconds until an attempt is given up, as a whole.")] = 60.0
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
        best: dict[str, float] = {}
        for token in _first_tokens(choice):  # "A" and " A" are the same label
            label = token["token"].strip()
            best[label] = max(float(token["logprob"]), best.get(label, -1e9))
        if not best:
            return dataclasses.replace(
                completion, text="", outcome="failed", error="the server sent no log probabilities"
            )
        floor = min(best.values()) - 1.0
        values = likelihoods([best.get(text.strip(), floor) for text in continuations])
        return dataclasses.replace(completion, text=values.text, outcome=values.outcome, error=values.error)

    def _request(self, prompt: str, max_tokens: int, **fields: Any) -> tuple[Completion, Any]:
        """Send one chat completion; return it with the client's `choice` object, None after a failure."""
        key = self._key()
        newest = self.base_url.startswith(OPENAI_URL)  # OpenAI renamed the field, other servers know the old name
        fields["max_completion_tokens" if newest else "max_tokens"] = max_tokens
        fields |= {"temperature": self.temperature, "seed": self.seed}
        fields |= {"model": self.model, "messages": [{"role": "user", "content": prompt}]}
        self._pace()
        start = time.perf_counter()
        try:
            body = self._post(key, {name: value for name, value in fields.items() if value is not None})
        except Exception as error:
            message = self._masked(self._message(error), key)
            retry_after, lost = _retry(error)
            seconds = time.perf_counter() - start
            return Completion("", "failed", seconds=seconds, error=message, lost=lost, retry_after=retry_after), None
        completion, choice = self._read(body)
        text, message = (self._masked(part, key) for part in (completion.text, completion.error))
        seconds = time.perf_counter() - start
        return dataclasses.replace(completion, text=text, error=one_line(message), seconds=seconds), choice

    def _post(self, key: str, fields: dict[str, Any]) -> Any:
        """Send one request; return the JSON value of the answer, whatever it is."""
        client, limits = self._client
        with limits.attempt():
            answer = client.with_options(api_key=key).chat.completions.with_raw_response.create(**fields)
        return json.loads(answer.http_response.text)

    def _read(self, body: Any) -> tuple[Completion, Any]:
        """Read the JSON value of an answer: text, outcome and counts of tokens, each of which may be of any form."""
        usage = body.get("usage") if isinstance(body, dict) else None
        tokens_in, tokens_out = (_count(usage, name) for name in ("prompt_tokens", "completion_tokens"))
        try:
            refused = body.get("error") or (body.get("choices") or [{}])[0].get("error")
            if refused:
                retry_after = 0.0 if _code(refused) in RETRIED or _code(refused) >= 500 else None
                problem = f"the server answered with an error: {refused}"
                return Completion("", "failed", tokens_in, tokens_out, error=problem, retry_after=retry_after), None
            choice = body["choices"][0]
            text, outcome = _content(choice["message"].get("content")), _outcome(choice)
        except Exception as error:
            problem = self._message(error)
            return Completion("", "failed", tokens_in, tokens_out, error=problem, lost=not tokens_out), None
        return Completion(text, outcome, tokens_in, tokens_out), choice

    def _masked(self, text: str, key: str) -> str:
        """Return a text without the key, should the server have repeated it."""
        return text.replace(key, "***") if self.key_variable and len(key) >= SHORTEST_MASKED else text

    def _message(self, error: Exception) -> str:
        """Describe an error of the client for people."""
        from openai import APIConnectionError, APIError, APITimeoutError

        limit = _limit(error)
        if isinstance(error, APITimeoutError) or isinstance(limit, TooLate):
            return f"no answer within {self.timeout_seconds:g} s"
        if isinstance(limit, TooLarge):
            return f"the answer of {self.base_url} is refused: {limit}"
        if isinstance(limit, Elsewhere):
            return f"{self.base_url}: {limit}"
        if isinstance(error, APIConnectionError):
            return f"no connection to {self.base_url}: {error.__cause__ or error}"
        if isinstance(error, APIError):
            return f"{type(error).__name__}: {error}"
        return f"{self.base_url} did not answer as an OpenAI-compatible server does ({type(error).__name__}: {error})"

    @functools.cached_property
    def _client(self) -> tuple[Any, AttemptLimits]:
        """The client with its pool of connections, which holds no key, and the limits of an attempt."""
        try:
            from openai import DefaultHttpxClient
            from openai import OpenAI as Client
        except ImportError as error:
            raise NotAvailable("an OpenAI-compatible server needs openai: pip install 'genre-rec[llm]'") from error
        http = DefaultHttpxClient(
            headers={"Accept-Encoding": "identity"}, event_hooks={"response": [refuse_elsewhere]}, follow_redirects=True
        )
        limits = AttemptLimits(http, self.timeout_seconds, MOST_BYTES)
        seconds = self.timeout_seconds
        return Client(api_key="unset", base_url=self.base_url, timeout=seconds, max_retries=0, http_client=http), limits

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

    limit = _limit(error)
    if limit is not None:
        return 0.0 if isinstance(limit, TooLate) else None, not isinstance(limit, Elsewhere)
    if isinstance(error, APIConnectionError):  # a time-out is one
        return 0.0, type(error.__cause__).__name__ not in NEVER_SENT
    if isinstance(error, APIStatusError):
        passes = error.status_code in RETRIED or error.status_code >= 500
        return (_wait(error.response.headers) if passes else None), False
    return None, True  # an answer of no known form: it may be billed


def _limit(error: BaseException) -> BaseException | None:
    """Return the limit of an attempt that an error is about, bare or as its cause; None: another error."""
    return next((one for one in (error, error.__cause__) if isinstance(one, TooLate | TooLarge | Elsewhere)), None)


def _wait(headers: Any) -> float:
    """Return the seconds that a server suggests to wait, as a number or as a date; 0 where it suggests none."""
    milliseconds, seconds = (headers.get(name, "").strip() for name in ("retry-after-ms", "retry-after"))
    if _is_number(milliseconds):
        return float(milliseconds) / 1000
    if _is_number(seconds):
        return float(seconds)
    try:
        return max(0.0, parsedate_to_datetime(seconds).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _is_number(text: str) -> bool:
    """Tell whether a header holds a number of seconds, and not a date."""
    return text.isascii() and text.replace(".", "", 1).isdigit()


def _count(usage: Any, name: str) -> int:
    """Return a count of tokens that a server sent; 0, which is no count, where it is none."""
    count = usage.get(name) if isinstance(usage, dict) else None
    return count if isinstance(count, int) and not isinstance(count, bool) and 0 < count <= MOST_TOKENS else 0


def _code(error: Any) -> int:
    """Return the status that an error inside an answer names; 0 where it names none."""
    code = error.get("code", error.get("status")) if isinstance(error, dict) else None
    text = str(code)
    return int(text) if text.isascii() and text.isdigit() and len(text) == 3 else 0


def _content(content: Any) -> str:
    """Return the text of a message: a string, none, or a list of parts, whose thoughts are left out."""
    if isinstance(content, list):
        return "".join(_content(part) for part in content)
    if isinstance(content, dict):
        if content.get("type") in THOUGHTS:
            return ""
        content = content["text"]
    elif content is None:
        return ""
    if not isinstance(content, str):
        raise TypeError(f"the content is {type(content).__name__}, and no text")
    return content


def _first_tokens(choice: Any) -> list[dict[str, Any]]:
    """Return the likeliest first tokens of an answer with their log probabilities; none where the server sent none."""
    try:
        tokens = choice["logprobs"]["content"][0]["top_logprobs"]
        return [one for one in tokens if isinstance(one["token"], str) and isinstance(one["logprob"], int | float)]
    except (KeyError, IndexError, TypeError):
        return []


def _outcome(choice: dict[str, Any]) -> Outcome:
    """Return how the model ended its answer."""
    if choice["message"].get("refusal") or choice.get("finish_reason") == "content_filter":
        return "refused"
    return "truncated" if choice.get("finish_reason") == "length" else "ok"


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
