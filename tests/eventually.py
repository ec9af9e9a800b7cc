"""Waiting for something to become true: a deadline ends it as a failure, and no delay decides."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any, Final

SECONDS: Final = 60.0
"""Far more than anything here takes on a busy machine."""

PAUSE: Final = 0.01


async def eventually(
    ask: Callable[[], object],
    what: object = "",
    seconds: float = SECONDS,
    pause: float = PAUSE,
    until: Callable[[Any], object] = bool,
) -> Any:
    """Return what `ask()` gives, or what that gives to be awaited, once it is true, or `until(it)` is.

    Raise TimeoutError, which names `what`, after `seconds`. `what` may be a function: the failure says what it gives
    then. It is asked again after `pause` seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if inspect.isawaitable(answer):
            async with asyncio.timeout(deadline - time.monotonic()):
                answer = await answer
        if until(answer):
            return answer
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
