"""Provider `openai`: any OpenAI-compatible server through the official client: OpenAI, Ollama, vLLM, llama.cpp.

The key is read from the environment variable that `key_variable` names, at the moment of a call; it is never stored,
logged or part of a fingerprint.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

from typing_extensions import override

from genre.errors import LLMError, NotAvailable
from genre.llm.answer_bodies import as_chat, as_responses, error_code, message_text, outcome_of, token_count
from genre.llm.attempt_limits import AttemptLimits, Elsewhere, TooLarge, TooLate, refuse_elsewhere
from genre.llm.base import Completion, LanguageModel, Schema, Scores, likelihoods, one_line
from genre.llm.refusals import REFUSALS, REFUSED, refused_field
from genre.llm.request_options import check_request_options
from genre.options import Doc, Ge, Gt, Le

OPENAI_URL = "https://api.openai.com/v1"
NEVER_SENT = ("ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol")
"""Errors before anything was sent, after which nothing is billed; by name, since the library behind them changes."""
RETRIED = (408, 409, 429)
"""Statuses below 500 after which another attempt may end better."""
STRUCTURED = ("strict", "schema", "object", "none")
MOST_SHOWN = 2_000  # characters of the body of an error
MOST_BYTES = 4_000_000  # of an answer with its headers; a hundred thousand tokens of thoughts are half a megabyte
SHORTEST_MASKED = 6  # characters of a key that is masked in answers, too: a shorter word is no secret
DIGITS = 7  # behind the point, of a vector's values: more than half precision keeps
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
    reasoning_effort: Annotated[
        str | None, Doc("How long a reasoning model may think, such as minimal or low; None: the server's default.")
    ] = None
    system: Annotated[str | None, Doc("A system message before every prompt; None: none is sent.")] = None
    extra_body: Annotated[
        dict[str, Any],
        Doc("Further fields of each request, such as `{chat_template_kwargs: {enable_thinking: false}}`."),
    ] = field(default_factory=dict)
    headers: Annotated[
        dict[str, str],
        Doc("Further headers; `$NAME` is read from that environment variable, as every secret has to be."),
    ] = field(default_factory=dict)
    max_tokens: Annotated[int, Ge(1), Doc("Longest answer, thoughts included, in tokens.")] = 300
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
        check_request_options(self.base_url, self.key_variable, self.extra_body, self.headers)
        self._lock = threading.Lock()
        self._next = 0.0
        self._left_out, self._notes = Counter[str](), list[str]()

    @property
    @override
    def fingerprint(self) -> str:
        how = f"{self.structured}, temperature {self.temperature}, seed {self.seed}, max_tokens {self.max_tokens}"
        more = (("reasoning_effort", self.reasoning_effort), ("system", self.system), ("extra_body", self.extra_body))
        how += "".join(f", {name} {json.dumps(value, sort_keys=True)}" for name, value in more if value)
        return f"openai {self.base_url.rstrip('/')} {self.model} ({how})"

    @property
    @override
    def scores(self) -> Scores:
        return "words"

    @property
    @override
    def added_bytes(self) -> int:
        return len((self.system or "").encode()) + (len(json.dumps(self.extra_body)) if self.extra_body else 0)

    @override
    def notes(self) -> list[str]:
        with self._lock:
            notes, self._notes = self._notes, []
        return notes

    @override
    def check(self) -> None:
        self._key()
        self._headers()
        _ = self._client

    def _complete(self, prompt: str, schema: Schema | None) -> Completion:
        return self._request(prompt, self.max_tokens, schema)[0]

    def _likelihood(self, prompt: str, continuations: Sequence[str]) -> Completion:
        """Score labels of one token by the first token of the answer: ln P among the twenty likeliest, else less."""
        if any(len(text.split()) > 1 for text in continuations):
            return Completion("", "failed", error="this server scores single words only; use labels")
        completion, choice = self._request(prompt, 1, None, logprobs=True, top_logprobs=20)
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

    def _request(
        self, prompt: str, max_tokens: int, schema: Schema | None, **more: Any
    ) -> tuple[Completion, dict[str, Any] | None]:
        """Send one chat completion; return it with the JSON object of the choice, None after a failure."""
        key, secrets = self._key(), self._secrets()
        start = time.perf_counter()
        try:
            body = self._negotiate(prompt, max_tokens, schema, key, more)
        except Exception as error:
            return self._failed(error, secrets, start), None
        completion, choice = self._read(body)
        text, message = (_masked(part, secrets) for part in (completion.text, completion.error))
        seconds = time.perf_counter() - start
        return dataclasses.replace(completion, text=text, error=one_line(message), seconds=seconds), choice

    def _failed(self, error: Exception, secrets: Sequence[str], start: float) -> Completion:
        """Return what an error of a call means, without what is secret."""
        message = one_line(_masked(self._message(error), secrets))
        retry_after, lost = _retry(error)
        seconds = time.perf_counter() - start
        return Completion("", "failed", seconds=seconds, error=message, lost=lost, retry_after=retry_after)

    def _secrets(self) -> list[str]:
        """Return the key and the values of secret headers, as an answer may write them."""
        headers = self._headers()
        return _written([self._key(), *(headers[name] for name, at in self.headers.items() if at.startswith("$"))])

    def _negotiate(self, prompt: str, max_tokens: int, schema: Schema | None, key: str, more: dict[str, Any]) -> Any:
        """Send a request, again without what the server refuses; what then was left out is remembered and said once."""
        with self._lock:
            left_out = Counter(self._left_out)
        while True:
            fields = {**self._fields(prompt, max_tokens, schema, left_out), **more}
            self._pace()
            try:
                body = self._post(key, fields, responses=bool(left_out["chat completions"]))
                refused = body.get("error") if isinstance(body, dict) else None
                known = bool(refused) and error_code(refused) in (0, *REFUSED)
                name = refused_field(str(refused), fields, left_out) if known else None
            except Exception as error:
                known = getattr(error, "status_code", 0) in REFUSED
                name = refused_field(f"{error} {_body_text(error)}", fields, left_out) if known else None
                if name is None:
                    raise
            if name is None:
                if not refused:
                    self._remember(left_out)
                return body
            left_out[name] += 1

    def _fields(self, prompt: str, max_tokens: int, schema: Schema | None, left_out: Counter[str]) -> dict[str, Any]:
        """Return the fields of a request, without what is to be left out."""
        newest = self.base_url.startswith(OPENAI_URL)  # OpenAI renamed the field, other servers know the old name
        renamed = newest != bool(left_out["max_tokens"])
        system = [{"role": "system", "content": self.system}] if self.system else []
        extra = {"reasoning_effort": self.reasoning_effort} if self.reasoning_effort else {}
        fields = {
            "model": self.model,
            "messages": [*system, {"role": "user", "content": prompt}],
            "max_completion_tokens" if renamed else "max_tokens": max_tokens,
            "temperature": None if left_out["temperature"] else self.temperature,
            "seed": None if left_out["seed"] else self.seed,
            "response_format": self._response_format(schema, left_out["response_format"]),
            "extra_body": extra | self.extra_body or None,
            "extra_headers": self._headers() or None,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def _remember(self, left_out: Counter[str]) -> None:
        """Remember what the server refuses, with a note of what is new."""
        with self._lock:
            new = left_out - self._left_out
            self._left_out |= left_out
            self._notes += [f"{self.base_url} refuses {name}; {REFUSALS[name][2]}" for name in new]

    def _post(self, key: str, fields: dict[str, Any], *, responses: bool) -> Any:
        """Send one request; return the JSON value of the answer, whatever it is."""
        client, limits = self._client
        own = client.with_options(api_key=key)
        with limits.attempt():
            if responses:
                sent = {**as_responses(fields), "extra_headers": fields.get("extra_headers")}
                answer = own.responses.with_raw_response.create(**sent)
            else:
                answer = own.chat.completions.with_raw_response.create(**fields)
        return json.loads(answer.http_response.text.lstrip("\ufeff"))

    def _read(self, body: Any) -> tuple[Completion, Any]:
        """Read the JSON value of an answer: text, outcome and counts of tokens, each of which may be of any form."""
        tokens_in = token_count(body, "prompt_tokens", "input_tokens")
        tokens_out = token_count(body, "completion_tokens", "output_tokens")
        try:
            body = as_chat(body)
            refused = body.get("error") or (body.get("choices") or [{}])[0].get("error")
            if refused:
                code = error_code(refused)
                retry_after = 0.0 if code in RETRIED or code >= 500 else None
                problem = f"the server answered with an error: {refused}"
                return Completion("", "failed", tokens_in, tokens_out, error=problem, retry_after=retry_after), None
            choice = body["choices"][0]
            text, outcome = message_text(choice["message"]), outcome_of(choice)
        except Exception as error:
            problem = self._message(error)
            return Completion("", "failed", tokens_in, tokens_out, error=problem, lost=not tokens_out), None
        return Completion(text, outcome, tokens_in, tokens_out), choice

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
            return f"{type(error).__name__}: {_whole(error)}"
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

    def _headers(self) -> dict[str, str]:
        """Return the further headers, with the values of environment variables."""
        values = {
            name: os.environ.get(value[1:], "") if value[0:1] == "$" else value for name, value in self.headers.items()
        }
        for name, value in values.items():
            if not value:
                raise LLMError(f"the header {name} is empty; set the environment variable {self.headers[name][1:]}")
        return values

    def _response_format(self, schema: Schema | None, steps: int) -> dict[str, Any] | None:
        """Return the field that requests an answer of a JSON Schema, so many steps below `structured`."""
        how = STRUCTURED[min(STRUCTURED.index(self.structured) + steps, len(STRUCTURED) - 1)]
        if schema is None or how == "none":
            return None
        if how == "object":
            return {"type": "json_object"}
        body = _supported(schema) if how == "strict" else schema
        return {"type": "json_schema", "json_schema": {"name": "answer", "schema": body, "strict": how == "strict"}}


@dataclass(eq=False)
class OpenAIEmbeddings(OpenAI):
    """Embeddings of an OpenAI-compatible server: what `likelihood` returns are the numbers of a text's vector."""

    @property
    @override
    def fingerprint(self) -> str:
        return f"openai embeddings {self.base_url.rstrip('/')} {self.model}"

    @override
    def _likelihood(self, prompt: str, continuations: Sequence[str]) -> Completion:
        """Return the vector of a text as numbers; there are no continuations."""
        secrets, start = self._secrets(), time.perf_counter()
        try:
            self._pace()
            client, limits = self._client
            own = client.with_options(api_key=self._key())
            with limits.attempt():
                answer = own.embeddings.with_raw_response.create(
                    model=self.model, input=prompt, encoding_format="float", extra_headers=self._headers() or None
                )
            body = json.loads(answer.http_response.text.lstrip("\ufeff"))
            vector = [round(float(value), DIGITS) for value in body["data"][0]["embedding"]]
        except Exception as error:
            return self._failed(error, secrets, start)
        tokens = token_count(body, "prompt_tokens", "total_tokens")
        return likelihoods(vector, tokens_in=tokens, seconds=time.perf_counter() - start)


def _whole(error: Exception) -> str:
    """Return what an error says, with the body of an answer in which the client found no message."""
    body = _body_text(error)
    return f"{error} - {body}" if body and " - " not in str(error) else str(error)


def _body_text(error: Exception) -> str:
    """Return the beginning of the body of the answer that an error is about; empty where there is none."""
    return str(getattr(getattr(error, "response", None), "text", ""))[:MOST_SHOWN]


def _written(secrets: Sequence[str]) -> list[str]:
    """Return secrets as an answer may write them, the longest first: a shorter word than SHORTEST_MASKED is none."""
    forms = [
        form
        for secret in secrets
        if len(secret) >= SHORTEST_MASKED
        for form in (secret, quote(secret, safe=""), b64encode(secret.encode()).decode().rstrip("="))
    ]
    return sorted(set(forms), key=len, reverse=True)


def _masked(text: str, secrets: Sequence[str]) -> str:
    """Return a text without key and secret headers, should the server have repeated them, and without half letters."""
    for secret in secrets:
        text = re.sub(re.escape(secret), "***", text, flags=re.IGNORECASE)
    return text.encode("utf-8", "replace").decode()


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


def _first_tokens(choice: Any) -> list[dict[str, Any]]:
    """Return the likeliest first tokens of an answer with their log probabilities; none where the server sent none."""
    try:
        tokens = choice["logprobs"]["content"][0]["top_logprobs"]
        return [one for one in tokens if isinstance(one["token"], str) and isinstance(one["logprob"], int | float)]
    except (KeyError, IndexError, TypeError):
        return []


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
