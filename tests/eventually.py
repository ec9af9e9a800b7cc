"""Waiting for something to become true: a deadline ends it as a failure, and no delay decides."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

SECONDS: Final = 20.0
"""Far more than anything here takes on a busy machine."""

PAUSE: Final = 0.01


async def eventually(true: Callable[[], object], what: object = "", seconds: float = SECONDS) -> None:
    """Return once `true()` is; raise TimeoutError, which names `what`, after `seconds`.

    `what` may be a function: the failure says what it gives then.
    """
    deadline = time.monotonic() + seconds
    while not true():
        _in_time(deadline, what)
        await asyncio.sleep(PAUSE)


def eventually_here(true: Callable[[], object], what: object = "", seconds: float = SECONDS) -> None:
    """`eventually` where no loop runs."""
    deadline = time.monotonic() + seconds
    while not true():
        _in_time(deadline, what)
        time.sleep(PAUSE)


def _in_time(deadline: float, what: object) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError(f"waited in vain for {what() if callable(what) else what}")
