"""What a process does beside what it is asked, as long as it serves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

log: Final = logging.getLogger(__name__)

Job = Callable[[], Coroutine[Any, Any, None]]
PAUSE: Final = 30.0
"""Seconds before a job that failed, or came to its end, begins anew."""


@asynccontextmanager
async def in_background(job: Job, pause: float = PAUSE) -> AsyncIterator[None]:
    """Do `job` again and again meanwhile, after so many seconds. One that fails as it should not is told of in the log,
    and begun anew: all else goes on."""
    doing = asyncio.create_task(_again_and_again(job, pause))
    try:
        yield
    finally:
        doing.cancel()
        await asyncio.wait([doing])


async def _again_and_again(job: Job, pause: float) -> None:
    while True:
        try:
            await job()
        except Exception:
            log.exception("a background job failed")
        await asyncio.sleep(pause)
