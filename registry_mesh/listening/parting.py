"""Ends connections whose client is not believed any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, Protocol, TypeVar

LAST: Final = 10.0
"""Seconds in which what is being answered may come to its end."""


class Ending(Protocol):
    """A connection, as aiohttp makes it."""

    transport: asyncio.Transport | None

    def close(self) -> None:
        """End after the answer that is under way."""
        ...

    def force_close(self) -> None:
        """End now."""
        ...


C = TypeVar("C", bound=Ending)


def part(
    connections: Iterable[C],
    is_busy: Callable[[C], bool],
    believes: Callable[[bytes], bool],
    last: float = LAST,
) -> list[asyncio.TimerHandle]:
    """End each connection whose client showed a certificate that is not believed, a busy one after what it is answered
    now or `last` seconds. What cuts those then."""
    loop = asyncio.get_running_loop()
    cuts = []
    for each in list(connections):
        shown = _shown(each)
        if not shown or believes(shown):
            continue
        if is_busy(each):
            each.close()
            cuts.append(loop.call_later(last, _cut, each))
        else:
            each.force_close()
    return cuts


def _shown(connection: Ending) -> bytes:
    if connection.transport is None:
        return b""
    tls = connection.transport.get_extra_info("ssl_object")
    return tls.getpeercert(True) or b"" if tls is not None else b""


def _cut(connection: Ending) -> None:
    if connection.transport is not None:
        connection.transport.abort()
