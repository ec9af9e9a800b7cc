"""Ends connections whose client is not believed any more."""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import Callable, Iterable
from functools import lru_cache
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


class Shown:
    """The certificate that the client of a connection showed when it came."""

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    @property
    def der(self) -> bytes:
        """All of it; empty where none was shown."""
        tls = self._transport.get_extra_info("ssl_object")
        return tls.getpeercert(True) or b"" if tls is not None else b""

    @property
    def until(self) -> float:
        """When it ends, in seconds of the clock; never where none was shown. Cheap."""
        said = (self._transport.get_extra_info("peercert") or {}).get("notAfter")
        return _seconds(said) if said else math.inf


Believes = Callable[[Shown], bool]
C = TypeVar("C", bound=Ending)

_seconds: Final = lru_cache(1024)(ssl.cert_time_to_seconds)


def part(
    connections: Iterable[C],
    is_busy: Callable[[C], bool],
    believes: Believes,
    last: float = LAST,
) -> list[asyncio.TimerHandle]:
    """End each connection whose client is not believed by what it showed, a busy one after what it is answered
    now or `last` seconds. What cuts those then."""
    loop = asyncio.get_running_loop()
    cuts = []
    for each in list(connections):
        if each.transport is None or believes(Shown(each.transport)):
            continue
        if is_busy(each):
            each.close()
            cuts.append(loop.call_later(last, _cut, each))
        else:
            each.force_close()
    return cuts


def _cut(connection: Ending) -> None:
    if connection.transport is not None:
        connection.transport.abort()
