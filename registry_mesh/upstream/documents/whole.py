"""Documents whole: one whose answer breaks off is asked for once more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from registry_mesh.upstream.requests import BrokeOff

T = TypeVar("T")


async def whole(ask: Callable[[], Awaitable[T]]) -> T:
    """What `ask` gives; where its answer broke off, what it gives the second time. Of a document that came in part
    nothing can be used, and a client that is told so asks for all again."""
    try:
        return await ask()
    except BrokeOff:
        return await ask()
