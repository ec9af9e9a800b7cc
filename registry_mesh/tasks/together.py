"""Many small questions or works, a bounded number of them at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar

A = TypeVar("A")
T = TypeVar("T")

AT_ONCE: Final = 16


async def ask_each(ask: Callable[[A], Awaitable[T]], about: Iterable[A]) -> list[T]:
    """`ask` of each, in the order of `about`; the first failure is raised once all that began have ended."""
    items = list(about)
    if len(items) == 1:
        return [await ask(items[0])]
    room = asyncio.Semaphore(AT_ONCE)

    async def one(item: A) -> T:
        async with room:
            return await ask(item)

    answers = await asyncio.gather(*(one(item) for item in items), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return [answer for answer in answers if not isinstance(answer, BaseException)]


async def bounded(limit: int, works: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Do all of `works`, at most `limit` at once. What one raises ends the others, and is raised as it is."""
    waiting = iter(works)

    async def worker() -> None:
        for work in waiting:
            await work()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(limit):
                group.create_task(worker())
    except ExceptionGroup as several:
        raise several.exceptions[0] from several
