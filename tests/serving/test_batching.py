"""Requests that wait together are worked on together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from genre.serving.http.batching import Batcher


def test_what_waits_together_is_worked_on_together() -> None:
    sizes: list[int] = []

    def work(questions: Sequence[int]) -> list[int | Exception]:
        sizes.append(len(questions))
        time.sleep(0.02)
        return [ValueError("three") if question == 3 else question * 2 for question in questions]

    async def main() -> None:
        batcher: Batcher[int, int] = Batcher(work, ThreadPoolExecutor(4), largest=8)
        answers = await asyncio.gather(*(batcher.submit(n) for n in range(20)), return_exceptions=True)
        assert [a for n, a in enumerate(answers) if n != 3] == [n * 2 for n in range(20) if n != 3]
        assert isinstance(answers[3], ValueError)
        by_key = await asyncio.gather(*(batcher.submit(n, key=n % 2) for n in range(4, 8)))
        assert by_key == [8, 10, 12, 14]

    ThreadPoolExecutor(1).submit(asyncio.run, main()).result()  # the browser tests leave a loop in this thread
    assert sizes == [8, 8, 4, 2, 2]


def test_those_who_ask_again_at_once_are_worked_on_together() -> None:
    """Two halves that begin at different times do not go on waiting for one another."""
    sizes: list[int] = []

    def work(questions: Sequence[int]) -> list[int]:
        sizes.append(len(questions))
        time.sleep(0.02)
        return list(questions)

    async def client(batcher: Batcher[int, int], late: float) -> None:
        await asyncio.sleep(late)
        for n in range(6):
            await batcher.submit(n)
            await asyncio.sleep(0)  # the answer goes out

    async def main() -> None:
        batcher: Batcher[int, int] = Batcher(work, ThreadPoolExecutor(1), largest=64)
        await asyncio.gather(*(client(batcher, late) for late in [0.0] * 4 + [0.01] * 4))

    ThreadPoolExecutor(1).submit(asyncio.run, main()).result()  # the browser tests leave a loop in this thread
    assert sizes == [4, 8, 8, 8, 8, 8, 4]


def test_work_that_fails_fails_for_all_who_waited_and_for_none_after() -> None:
    def work(questions: Sequence[str]) -> list[str | Exception]:
        if "bad" in questions:
            raise OSError("disk")
        return list(questions)

    async def main() -> None:
        batcher: Batcher[str, str] = Batcher(work, ThreadPoolExecutor(1), largest=8)
        answers = await asyncio.gather(*(batcher.submit(word) for word in ("good", "bad")), return_exceptions=True)
        assert all(isinstance(answer, OSError) for answer in answers)
        gone = batcher.submit("gone")
        gone.cancel()
        assert await batcher.submit("after") == "after"

    ThreadPoolExecutor(1).submit(asyncio.run, main()).result()  # the browser tests leave a loop in this thread
