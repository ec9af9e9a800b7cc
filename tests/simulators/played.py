"""Time that passes only while everything waits, and then at once: for tests of what waits for nothing outside its loop.

A pause of the machine takes none of it, so that what is late, and by how much, is exact.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")


class _Selector(selectors.DefaultSelector):
    """Waits for nothing; `now` is where the seconds have come to that it was told to."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0 if timeout is not None else None)
        if not ready:
            self.now += timeout or 0.0
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.played = _Selector()
        super().__init__(self.played)

    def time(self) -> float:
        return self.played.now


def busy(seconds: float) -> None:
    """The loop that runs does something else for so long."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, _Loop)
    loop.played.now += seconds


def played(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """The test as a function that runs it on a loop of its own, whose time is played."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=_Loop) as runner:
            runner.run(test(*args, **kwargs))

    return run
