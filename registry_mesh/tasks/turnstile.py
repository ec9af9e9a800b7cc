"""Lets a few go on in each turn of the loop, where many would at once: what else there is to do is done meanwhile."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

MOST: Final = 8
"""That go on in a turn, where nothing else is said: each has a millisecond of work before it, or less."""


class Turnstile:
    """In the order in which they come. For tasks of one loop."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._left = most
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._turns = False

    async def passed(self) -> None:
        """Return at once, or in one of the next turns."""
        loop = asyncio.get_running_loop()
        self._turn_soon(loop)
        if self._left and not self._waiting:
            self._left -= 1
            return
        waiting = loop.create_future()
        self._waiting.append(waiting)
        await waiting

    def _turn_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._turns:
            self._turns = True
            loop.call_soon(self._turn, loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._turns, self._left = False, self._most
        while self._waiting and self._left:
            waiting = self._waiting.popleft()
            if not waiting.done():  # else who waited has been cancelled
                waiting.set_result(None)
                self._left -= 1
        if self._waiting:
            self._turn_soon(loop)
