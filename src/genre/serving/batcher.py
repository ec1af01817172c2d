"""Requests that wait together are worked on together. Knows asyncio, nothing about the work.

While one batch is being worked on, what comes in waits and becomes the next: the busier it is, the larger the batches
and the cheaper each request. Between two batches the answers of the first go out and what comes in meanwhile comes
along; else those who ask fall into two halves that wait for one another, and half a batch costs nearly as much.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

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
