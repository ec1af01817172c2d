"""What is counted while serving, in the text form that Prometheus reads. Each app counts for itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client import generate_latest as text_of
from prometheus_client.core import CounterMetricFamily

from genre.recommenders.llm_reranker import UNUSED
from genre.serving.requests import RankedList

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

Accounts = Mapping[tuple[str, str], Mapping[str, Any]]
"""By run and recommender what became of the lists that a language model was to reorder."""


class Metrics:
    """Counters by route, status and kind of answer; no id, no text and no key is ever a label."""

    def __init__(self, missing: Callable[[], list[str]], reordered: Callable[[], Accounts]) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._seconds = Histogram(
            "genre_request_seconds", "Time to answer", ["route", "status"], buckets=SECONDS, registry=self._registry
        )
        self._answers = Counter(
            "genre_answers", "Lists by how they came about", ["run", "source", "fallback"], registry=self._registry
        )
        self.batches = Counter("genre_batches", "Groups of lists made together", registry=self._registry)
        self.events = Counter("genre_events", "Events recorded", ["outcome"], registry=self._registry)
        self.troubles = Counter("genre_troubles", "Things that went wrong", ["where"], registry=self._registry)
        stages = Gauge("genre_missing_stages", "Stages that keep failing", registry=self._registry)
        stages.set_function(lambda: len(missing()))
        self._registry.register(_Reordered(reordered))
        self._of_route: dict[tuple[str, int], Any] = {}
        self._of_answer: dict[tuple[str, str, str], Any] = {}

    def request(self, scope: Mapping[str, Any], status: int, seconds: float) -> None:
        key = getattr(scope.get("endpoint"), "__name__", "none"), status
        if key not in self._of_route:
            self._of_route[key] = self._seconds.labels(key[0], str(status))
        self._of_route[key].observe(seconds)

    def answer(self, answer: RankedList) -> None:
        key = answer.run, answer.source, answer.fallback or ""
        if key not in self._of_answer:
            self._of_answer[key] = self._answers.labels(*key)
        self._of_answer[key].inc()

    def text(self) -> bytes:
        return text_of(self._registry)


class _Reordered:
    """Read from the recommenders, which count for themselves, whenever somebody asks."""

    def __init__(self, accounts: Callable[[], Accounts]) -> None:
        self._accounts = accounts

    def collect(self) -> Iterator[CounterMetricFamily]:
        text, labels = "Lists that a language model was to reorder", ["run", "recommender", "outcome"]
        counts = CounterMetricFamily("genre_reordered", text, labels=labels)
        for where, account in self._accounts().items():
            for outcome in ("reordered", *UNUSED):
                counts.add_metric([*where, outcome], account.get(outcome, 0))
        yield counts
