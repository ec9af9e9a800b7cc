"""Waiting for something to become true: a deadline ends it as a failure, and no delay decides."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Final

SECONDS: Final = 20.0
"""Far more than anything here takes on a busy machine."""

PAUSE: Final = 0.01


async def eventually(
    true: Callable[[], object], what: object = "", seconds: float = SECONDS, pause: float = PAUSE
) -> None:
    """Return once `true()` is, or what it gives to be awaited; raise TimeoutError, which names `what`, after `seconds`.

    `what` may be a function: the failure says what it gives then. It is asked again after `pause` seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = true()
        if await answer if inspect.isawaitable(answer) else answer:
            return
        _in_time(deadline, what)
        await asyncio.sleep(pause)


def eventually_here(
    true: Callable[[], object], what: object = "", seconds: float = SECONDS, pause: float = PAUSE
) -> None:
    """`eventually` where no loop runs."""
    deadline = time.monotonic() + seconds
    while not true():
        _in_time(deadline, what)
        time.sleep(pause)


def _in_time(deadline: float, what: object) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError(f"waited in vain for {what() if callable(what) else what}")
