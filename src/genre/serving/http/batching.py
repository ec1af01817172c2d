"""Between the event loop and the service's threads: requests that wait together are worked on together. Knows no HTTP.

Batches form by waiting. While one batch is scored, arriving requests wait, and together they become the next batch. No
request is delayed on purpose, no time has to be tuned, and batches grow with the load: scoring 16 users at once reads
the item factors once instead of 16 times, and committing 100 events at once waits for the disk once.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any, Generic, NamedTuple, ParamSpec, TypeVar

from genre.errors import ConflictError, GenreError, UncertainWrite
from genre.serving.events.store import Event, Outcome
from genre.serving.http.prometheus import PrometheusMetrics
from genre.serving.requests import ListRequest, RankedList
from genre.serving.service import Service

P = ParamSpec("P")
T = TypeVar("T")
Request = TypeVar("Request")
Answer = TypeVar("Answer")

LISTS_PER_BATCH = 64
EVENT_REQUESTS_PER_BATCH = 2000
SYNC_SECONDS = 0.5  # between two looks for events that other processes recorded
ERASURE_SECONDS = 1.0  # between two attempts to erase what is left of deleted users
STORE_SECONDS = 5.0  # after which nothing more is written to the event log for a request
ANSWER_SECONDS = 0.5  # more, until the caller no longer waits to hear whether it was written
LOOP_TURNS = 4  # of the event loop between two batches


class Batcher(Generic[Request, Answer]):
    """Queues of requests, one a key; each queue is worked off batch by batch, queues do not wait for one another.

    Args:
        work: makes the answers to a batch, in order; an exception in place of an answer goes to that request alone.
        pool: the threads that `work` runs in.
        largest: most requests in a batch.
    """

    def __init__(
        self, work: Callable[[Sequence[Request]], Sequence[Answer | Exception]], pool: Executor, largest: int
    ) -> None:
        self._work, self._pool, self._largest = work, pool, largest
        self._waiting: defaultdict[Hashable, list[tuple[Request, asyncio.Future[Answer]]]] = defaultdict(list)
        self._running: dict[Hashable, asyncio.Task[None]] = {}

    def submit(self, request: Request, key: Hashable = None) -> asyncio.Future[Answer]:
        """Queue a request.

        Args:
            request: what `work` takes.
            key: requests of one key are batched together.

        Returns:
            A future of the answer.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting[key].append((request, future))
        if key not in self._running:
            self._running[key] = loop.create_task(self._run(key))
        return future

    async def _run(self, key: Hashable) -> None:
        """Work off one queue until it is empty."""
        try:
            while waiting := self._waiting[key]:
                batch, self._waiting[key] = waiting[: self._largest], waiting[self._largest :]
                batch = [one for one in batch if not one[1].done()]  # of the others, the client has gone
                if batch:
                    await self._answer(batch)
                # Clients just answered send their next requests within a few turns of the loop. Starting without them
                # would leave two halves that take turns for ever, each in a batch of half the size.
                for _ in range(LOOP_TURNS):
                    await asyncio.sleep(0)
        finally:
            del self._running[key], self._waiting[key]

    async def _answer(self, batch: list[tuple[Request, asyncio.Future[Answer]]]) -> None:
        answers: Sequence[Answer | Exception]
        try:
            requests = [request for request, _ in batch]
            answers = await asyncio.get_running_loop().run_in_executor(self._pool, self._work, requests)
        except Exception as error:
            answers = [error] * len(batch)
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():  # its client has gone
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)


class RecordedEvents(NamedTuple):
    """How many events of one request were new, and how many had been recorded before.

    Attributes:
        recorded: new events.
        duplicates: events whose id the log had.
    """

    recorded: int
    duplicates: int


class TimedEvents(NamedTuple):
    """The events of one request.

    Attributes:
        events: what users did.
        deadline: moment of `time.monotonic()` after which they are not recorded.
    """

    events: Sequence[Event]
    deadline: float


class AsyncService:
    """The service for coroutines: its calls run in threads; lists and events are batched.

    Attributes:
        service: the service itself, for calls that do not block.
        metrics: counts lists, batches, events and troubles.
    """

    def __init__(self, service: Service, metrics: PrometheusMetrics) -> None:
        self.service, self.metrics = service, metrics
        self._answer_pool = ThreadPoolExecutor(16, "genre-answer")
        self._store_pool = ThreadPoolExecutor(4, "genre-store")
        self._lists: Batcher[ListRequest, RankedList] = Batcher(self._recommend, self._answer_pool, LISTS_PER_BATCH)
        self._events: Batcher[TimedEvents, RecordedEvents] = Batcher(
            self._record, self._store_pool, EVENT_REQUESTS_PER_BATCH
        )

    async def recommend(self, request: ListRequest) -> RankedList:
        """Make a list, in one batch with other requests for the same recommender.

        Args:
            request: whom to recommend what.

        Returns:
            The list.

        Raises:
            GenreError: for a run, recommender or field that does not exist.
        """
        ranked = await self._lists.submit(request, self.service.collection_key(request))
        self.metrics.count_answer(ranked)
        return ranked

    def _recommend(self, requests: Sequence[ListRequest]) -> list[RankedList | GenreError]:
        self.metrics.batches.inc()
        return self.service.recommend_many(requests)

    async def record(self, events: Sequence[Event]) -> RecordedEvents:
        """Record events, in one commit with those of other requests.

        Args:
            events: what users did.

        Returns:
            How many were new; they are on disk.

        Raises:
            StoreError: when the log cannot be written.
            UncertainWrite: when it does not answer in time.
            ConflictError: for an event that is refused; the other events are recorded.
            DataError: for a kind of event that does not exist.
        """
        self.service.check_events(events)
        return await _answer_in_time(self._events.submit(TimedEvents(events, time.monotonic() + STORE_SECONDS)))

    def _record(self, groups: Sequence[TimedEvents]) -> list[RecordedEvents | ConflictError]:
        """Record the events of many requests in one commit, in the time of the request that came first."""
        events = [event for group in groups for event in group.events]
        outcomes = iter(self.service.record(events, deadline=min((group.deadline for group in groups), default=None)))
        return [self._count(group.events, [next(outcomes) for _ in group.events]) for group in groups]

    def _count(self, events: Sequence[Event], outcomes: Sequence[Outcome]) -> RecordedEvents | ConflictError:
        """Count what became of the events of one request."""
        for outcome in outcomes:
            self.metrics.events.labels(outcome.value).inc()
        counts = RecordedEvents(outcomes.count(Outcome.NEW), outcomes.count(Outcome.DUPLICATE))
        if counts.recorded + counts.duplicates == len(events):
            return counts
        conflicts = [
            str(e.event_id) for e, outcome in zip(events, outcomes, strict=True) if outcome is Outcome.CONFLICT
        ]
        return _conflict(conflicts, outcomes.count(Outcome.DELETED), counts)

    async def read(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call of the service that reads, in a thread.

        Args:
            call: a method of the service.
            *args: its arguments.
            **kwargs: its arguments by name.

        Returns:
            Its result.
        """
        return await asyncio.get_running_loop().run_in_executor(self._answer_pool, partial(call, *args, **kwargs))

    async def write(self, call: Callable[..., T], *args: Any) -> T:
        """Run a call of the service that writes to the event log, in a thread.

        Args:
            call: a method of the service that takes a deadline.
            *args: its other arguments.

        Returns:
            Its result.

        Raises:
            StoreError: when the log cannot be written.
            UncertainWrite: when it does not answer in time.
        """
        work = partial(call, *args, deadline=time.monotonic() + STORE_SECONDS)
        return await _answer_in_time(asyncio.get_running_loop().run_in_executor(self._store_pool, work))

    async def follow_log(self) -> None:
        """Read what other processes write into the event log, as long as the service runs."""
        await self._repeat(self.service.sync, SYNC_SECONDS, "sync")

    async def go_on_erasing(self) -> None:
        """Erase what is left of deleted users, as long as the service runs."""
        await self._repeat(self.service.erasure.go_on, ERASURE_SECONDS, "erasure")

    async def _repeat(self, call: Callable[[], object], seconds: float, name: str) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.read(call)
            except Exception:  # the next round tries again
                self.metrics.troubles.labels(name).inc()

    def close(self) -> None:
        """Stop the threads."""
        for pool in (self._answer_pool, self._store_pool):
            pool.shutdown(wait=False, cancel_futures=True)


def _conflict(event_ids: Sequence[str], n_deleted: int, counts: RecordedEvents) -> ConflictError:
    """Say which events of a request were refused, and what became of the others."""
    problems = []
    if event_ids:
        names = ", ".join(map(repr, event_ids[:5]))
        problems.append(
            f"event_id {names}: recorded before of the same user with another item, weight, time or list; give each "
            "event an id of its own."
        )
    if n_deleted:
        problems.append(f"{n_deleted} from before their user was deleted: refused, do not send them again.")
    others = f"Of the other events, {counts.recorded} recorded, {counts.duplicates} duplicates"
    return ConflictError(" ".join([*problems, others]))


async def _answer_in_time(future: asyncio.Future[T]) -> T:
    try:
        async with asyncio.timeout(STORE_SECONDS + ANSWER_SECONDS):
            return await future
    except TimeoutError:
        raise UncertainWrite("the event log does not answer") from None
