"""Counters and timings of a service, in the text format of Prometheus. Each app counts for itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client import generate_latest as text_of
from prometheus_client.core import CounterMetricFamily
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genre.recommenders.llm_reranker import UNUSED_ANSWERS
from genre.serving.requests import RankedList
from genre.serving.service import Service

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

RerankCounts = Mapping[tuple[str, str], Mapping[str, Any]]
"""(run, recommender) -> outcome -> lists sent to a language model for reranking that ended so."""


class PrometheusMetrics:
    """Counters by route, status and kind of answer; no id, no text and no key is ever a label.

    Attributes:
        batches: groups of requests scored together.
        events: events by outcome, recorded or duplicate.
        troubles: errors of the service by place.
    """

    def __init__(
        self,
        failing_calls: Callable[[], list[str]],
        reranked: Callable[[], RerankCounts],
        failed_swaps: Callable[[], int] = int,
        lost_shows: Callable[[], int] = int,
    ) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        labels = ["route", "status"]
        self._seconds = Histogram("genre_request_seconds", "Time to answer", labels, buckets=SECONDS, registry=registry)
        labels = ["run", "source", "fallback"]
        self._answers = Counter("genre_answers", "Lists by how they came about", labels, registry=registry)
        self.batches = Counter("genre_batches", "Groups of lists made together", registry=registry)
        self.events = Counter("genre_events", "Events recorded", ["outcome"], registry=registry)
        self.troubles = Counter("genre_troubles", "Things that went wrong", ["where"], registry=registry)
        stages = Gauge("genre_missing_stages", "Stages that keep failing", registry=registry)
        stages.set_function(lambda: len(failing_calls()))
        swaps = Gauge("genre_failed_swaps", "Replaced runs that could not be taken over", registry=registry)
        swaps.set_function(failed_swaps)
        shows = Gauge("genre_lost_shows", "Lists that were sent but could not be recorded", registry=registry)
        shows.set_function(lost_shows)
        registry.register(_RerankCollector(reranked))
        self._by_route: dict[tuple[str, int], Histogram] = {}  # finding a label costs more than counting
        self._by_answer: dict[tuple[str, str, str], Counter] = {}

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            route: name of the route's function, "none" where no route matched.
            status: HTTP status of the answer.
            seconds: time to answer.
        """
        key = route, status
        if key not in self._by_route:
            self._by_route[key] = self._seconds.labels(route, str(status))
        self._by_route[key].observe(seconds)

    def count_answer(self, answer: RankedList) -> None:
        """Count a list by its run, source and fallback.

        Args:
            answer: the list.
        """
        key = answer.run, answer.source, answer.fallback or ""
        if key not in self._by_answer:
            self._by_answer[key] = self._answers.labels(*key)
        self._by_answer[key].inc()

    def exposition(self) -> bytes:
        """Return all counters.

        Returns:
            UTF-8 text, as Prometheus reads it.
        """
        return text_of(self._registry)


def metrics_of(service: Service) -> PrometheusMetrics:
    """Make the counters of a service.

    Args:
        service: The service.

    Returns:
        Counters that read what the service counts itself.
    """
    return PrometheusMetrics(
        service.failing_calls, service.llm_counts, lambda: service.operations.failed_swaps, lambda: service.shows.n_lost
    )


class MeasureRequests:
    """Middleware that counts every request by route and status, and times it."""

    def __init__(self, app: ASGIApp, metrics: PrometheusMetrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, as ASGI calls it."""
        started, status = time.perf_counter(), 500  # the status of an exception that no one caught

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            if scope["type"] == "http":
                route = getattr(scope.get("endpoint"), "__name__", "none")
                self._metrics.count_request(route, status, time.perf_counter() - started)


class _RerankCollector:
    """Counters that recommenders with a language model keep themselves, read when Prometheus asks."""

    def __init__(self, reranked: Callable[[], RerankCounts]) -> None:
        self._reranked = reranked

    def collect(self) -> Iterator[CounterMetricFamily]:
        text, labels = "Lists that a language model was to reorder", ["run", "recommender", "outcome"]
        counts = CounterMetricFamily("genre_reordered", text, labels=labels)
        for where, outcomes in self._reranked().items():
            for outcome in ("reordered", *UNUSED_ANSWERS):
                counts.add_metric([*where, outcome], outcomes.get(outcome, 0))
        yield counts
