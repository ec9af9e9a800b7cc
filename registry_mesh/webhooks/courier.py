"""Brings one receiver its events, in order, one at a time.

A receiver that does not take one is asked again, after a second first and then twice as long each time, at most a
quarter of an hour; all later events wait behind it. One event that it refuses for what it is (400, 413, 415, 422) is
given up after three tries, and any after `keep` seconds.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from registry_mesh import __version__
from registry_mesh.ports.failures import Failure
from registry_mesh.tasks.files import trace
from registry_mesh.tasks.threads import offload
from registry_mesh.telemetry.logs import FIELDS
from registry_mesh.webhooks.event import CONTENT_TYPE
from registry_mesh.webhooks.queue import Queue, Waiting
from registry_mesh.webhooks.signature import SecretInvalid, headers

log: Final = logging.getLogger(__name__)

LOOK: Final = 0.5
"""Seconds between two looks at an empty queue."""
_TIMEOUT: Final = 10.0
_LONGEST: Final = 900.0
_DOUBLED: Final = 10
"""Times after which a wait is longer than the longest."""
_REFUSED: Final = frozenset({400, 413, 415, 422})
_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who is told. `key` gives the key of its signatures as it is now; `SecretInvalid` or OSError where there is
    none."""

    name: str
    url: str
    key: Callable[[], bytes]
    keep: float
    proxy: str | None = None
    """HTTP proxy on the way to it; None: none, whatever the environment says."""
    ca: str | None = None
    """PEM file of certificate authorities that are believed beside those of the system."""

    @property
    def place(self) -> str:
        """Its address without what may be secret."""
        return place_of(self.url)


def place_of(url: str) -> str:
    """The scheme, host and port of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _believing(ca: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(ca)
    return context


def open_session() -> aiohttp.ClientSession:
    """Connections for all couriers of a node."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=_TIMEOUT),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": f"registry-mesh/{__version__}", "Content-Type": CONTENT_TYPE},
    )


class Courier:
    """One receiver's. `clock` gives seconds since the epoch."""

    def __init__(
        self, receiver: Receiver, queue: Queue, session: aiohttp.ClientSession, clock: Callable[[], float]
    ) -> None:
        self.receiver = receiver
        self.why = ""
        """What keeps the receiver from taking the next event; empty where nothing does."""
        self.failing_since = 0.0
        self._queue = queue
        self._session = session
        self._clock = clock
        self._trusted: tuple[tuple[int, ...], ssl.SSLContext] | None = None
        self._tried = (0, 0)
        """The event that was tried last, and how often."""

    def __repr__(self) -> str:
        return f"<courier to {self.receiver.place}{f': {self.why}' if self.why else ''}>"

    async def follow(self) -> None:
        """Never ends."""
        while True:
            try:
                wait = await self.step()
            except Failure as fault:
                self._failed(fault.reason)
                wait = _LONGEST / 60
            await asyncio.sleep(wait)

    async def step(self) -> float:
        """Bring the next event, if there is one. Gives how many seconds to wait before the next step."""
        name = self.receiver.name
        waiting = await offload(self._queue.first, name)
        if waiting is None:
            return LOOK
        if self._clock() - waiting.at > self.receiver.keep:
            await self._give_up(waiting, f"too old; {self.why}" if self.why else "too old")
            return 0.0
        tries = self._tried[1] + 1 if self._tried[0] == waiting.id else 1
        self._tried = (waiting.id, tries)
        status, why = await self._send(waiting)
        if 200 <= status < 300:
            await offload(self._queue.sent, name, waiting)
            self._recovered()
            return 0.0
        if status in _REFUSED and tries >= _TRIES:
            await self._give_up(waiting, why)
            return 0.0
        self._failed(why)
        return min(_LONGEST, 2.0 ** min(tries - 1, _DOUBLED)) * random.uniform(0.9, 1.1)

    async def _send(self, waiting: Waiting) -> tuple[int, str]:
        """The status, and what was wrong; 0 where there was no answer."""
        try:
            key = await offload(self.receiver.key)
        except SecretInvalid as fault:
            return 0, f"its secret: {fault}"
        except OSError as fault:
            return 0, f"its secret: {fault.strerror}"
        signed = headers(key, waiting.event, int(self._clock()), waiting.body)
        try:
            async with self._session.post(
                self.receiver.url,
                data=waiting.body,
                headers=signed,
                allow_redirects=False,
                proxy=self.receiver.proxy,
                ssl=await self._trust(),
            ) as answer:
                where = " to elsewhere, which is not followed" if 300 <= answer.status < 400 else ""
                return answer.status, f"answered {answer.status}{where}"
        except TimeoutError:
            return 0, f"no answer within {_TIMEOUT:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            return 0, getattr(fault, "strerror", None) or type(fault).__name__

    async def _trust(self) -> ssl.SSLContext | bool:
        """What the receiver's certificate is held against; True: the system's authorities. OSError."""
        if self.receiver.ca is None:
            return True
        found = await offload(trace, self.receiver.ca)
        if self._trusted is None or self._trusted[0] != found:
            self._trusted = found, await offload(_believing, self.receiver.ca)
        return self._trusted[1]

    async def _give_up(self, waiting: Waiting, why: str) -> None:
        await offload(self._queue.lost, self.receiver.name, waiting)
        log.error("an event for a webhook is given up", extra=self._said(event=waiting.event, why=why))

    def _failed(self, why: str) -> None:
        if not self.why:
            self.failing_since = self._clock()
        if why != self.why:
            log.warning("a webhook does not take events: they wait", extra=self._said(why=why))
        self.why = why

    def _recovered(self) -> None:
        if self.why:
            log.info("a webhook takes events again", extra=self._said(was=self.why))
        self.why, self.failing_since = "", 0.0

    def _said(self, **more: object) -> dict[str, object]:
        return {FIELDS: {"webhook": self.receiver.name, "to": self.receiver.place, **more}}
