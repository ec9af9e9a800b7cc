"""Which event loop a process runs on."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable
from typing import Literal

LoopName = Literal["auto", "asyncio", "uvloop"]


class LoopMissing(Exception):
    """The loop that is asked for is not installed."""


def loop_factory(
    name: LoopName, find: Callable[[str], object | None] = importlib.util.find_spec
) -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes the loop: `auto` takes uvloop where `find` finds it installed. `LoopMissing`."""
    installed = find("uvloop") is not None
    if name == "asyncio" or (name == "auto" and not installed):
        return asyncio.new_event_loop
    if not installed:
        raise LoopMissing('loop: uvloop is not installed: pip install "registry-mesh[speed]"')
    import uvloop

    return uvloop.new_event_loop
