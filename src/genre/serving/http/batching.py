"""Between the event loop and the service: its threads, its batches, its patience. Knows no HTTP."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Generic, NamedTuple, TypeVar

from genre.errors import GenreError, StoreError
from genre.serving.events.store import Event
from genre.serving.http.prometheus import PrometheusMetrics
from genre.serving.requests import ListRequest, RankedList
from genre.serving.service import Service

T = TypeVar("T")

BATCH = 64  # lists made together
EVENTS_BATCH = 2000  # requests whose events are committed together
SYNC_SECONDS = 0.5
STORE_SECONDS = 5.0  # that a caller waits for the log


class Counted(NamedTuple):
    """Of the events in one request, how many were new and how many had been counted before."""

    recorded: int
    duplicates: int


class Desk:
    """Hands requests to the service in its threads, those that wait together in one call."""

    def __init__(self, service: Service, metrics: PrometheusMetrics) -> None:
        self.service, self.metrics = service, metrics
        self._answering = ThreadPoolExecutor(16, "genre-answer")
        self._storing = ThreadPoolExecutor(4, "genre-store")
        self._lists: Batcher[ListRequest, RankedList] = Batcher(self._recommend, self._answering, BATCH)
        self._events: Batcher[Sequence[Event], Counted] = Batcher(self._record, self._storing, EVENTS_BATCH)

    async def recommend(self, ask: ListRequest) -> RankedList:
        answer = await self._lists.ask(ask, self.service.batch_key(ask))
        self.metrics.count_answer(answer)
        return answer

    def _recommend(self, asks: Sequence[ListRequest]) -> list[RankedList | GenreError]:
        self.metrics.batches.inc()
        return self.service.recommend_many(asks)

    async def record(self, events: Sequence[Event]) -> Counted:
        return await self._in_time(self._events.ask(events))

    def _record(self, groups: Sequence[Sequence[Event]]) -> list[Counted]:
        """The events of many requests in one commit."""
        counted = iter(self.service.record([event for group in groups for event in group]))
        outcomes = []
        for group in groups:
            fresh = sum(next(counted) for _ in group)
            outcomes.append(Counted(fresh, len(group) - fresh))
            self.metrics.events.labels("recorded").inc(fresh)
            self.metrics.events.labels("duplicate").inc(len(group) - fresh)
        return outcomes

    async def answer(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._answering, work)

    async def store(self, work: Callable[[], T]) -> T:
        return await self._in_time(asyncio.get_running_loop().run_in_executor(self._storing, work))

    @staticmethod
    async def _in_time(future: asyncio.Future[T]) -> T:
        try:
            async with asyncio.timeout(STORE_SECONDS):
                return await future
        except TimeoutError:
            message = "the event log does not answer; send it again, with an event_id so that it is counted once"
            raise StoreError(message) from None

    async def keep_in_step(self) -> None:
        """Take over what comes into the log, for as long as the service runs."""
        while True:
            await asyncio.sleep(SYNC_SECONDS)
            try:
                await self.answer(self.service.sync)
            except Exception:  # whatever it was, the next round tries again
                self.metrics.troubles.labels("sync").inc()

    def close(self) -> None:
        for pool in (self._answering, self._storing):
            pool.shutdown(wait=False, cancel_futures=True)


TURNS = 4  # of the event loop between two batches: fewer, and the halves stay apart


Q = TypeVar("Q")


A = TypeVar("A")


class Batcher(Generic[Q, A]):
    """work: answers in the order of the questions, an exception where one cannot be answered; runs in `pool`.

    largest: most questions in one batch.
    """

    def __init__(self, work: Callable[[Sequence[Q]], Sequence[A | Exception]], pool: Executor, largest: int) -> None:
        self._work, self._pool, self._largest = work, pool, largest
        self._waiting: defaultdict[Hashable, list[tuple[Q, asyncio.Future[A]]]] = defaultdict(list)
        self._lanes: dict[Hashable, asyncio.Task[None]] = {}

    def ask(self, question: Q, lane: Hashable = None) -> asyncio.Future[A]:
        """The answer, some time. Questions of one lane are worked on together, lanes do not wait for one another."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[A] = loop.create_future()
        self._waiting[lane].append((question, future))
        if lane not in self._lanes:
            self._lanes[lane] = loop.create_task(self._run(lane))
        return future

    async def _run(self, lane: Hashable) -> None:
        try:
            while waiting := self._waiting[lane]:
                batch, self._waiting[lane] = waiting[: self._largest], waiting[self._largest :]
                await self._answer(batch)
                for _ in range(TURNS):
                    await asyncio.sleep(0)
        finally:
            del self._lanes[lane], self._waiting[lane]

    async def _answer(self, batch: list[tuple[Q, asyncio.Future[A]]]) -> None:
        answers: Sequence[A | Exception]
        try:
            questions = [question for question, _ in batch]
            answers = await asyncio.get_running_loop().run_in_executor(self._pool, self._work, questions)
        except Exception as error:
            answers = [error] * len(batch)
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():  # the one who asked has gone
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
