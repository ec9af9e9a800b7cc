"""One answer of a parent: its status, its fields, and its body, received as it comes.

What others see of the HTTP client's response. The client's exceptions do not pass from here while a body is received
but as failures; those that come while an answer is opened or closed end in `session`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Final, cast

import aiohttp

from registry_mesh.ports.blobs import DirectBody
from registry_mesh.ports.failures import SourceUnreadable
from registry_mesh.upstream.codings import decoded
from registry_mesh.upstream.direct import direct_body
from registry_mesh.upstream.health.stall import Stall
from registry_mesh.upstream.sender import Sender

_SAME: Final = {203: 200, 410: 404}
"""Statuses that mean no more to who pulls than others do."""


class Answer:
    """The head of an answer that has come, and the way to its body. Good while the request is open."""

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        sender: Sender,
        registry: str = "",
        answered: Callable[[], None] = lambda: None,
    ) -> None:
        """`registry`: of which something was asked for. `answered` is called once bytes of the body have come."""
        self._answered: Callable[[], None] | None = answered
        self._response = response
        self._sender = sender
        self._registry = registry
        self._early: deque[bytes] = deque()  # came before anybody asked for pieces

    @property
    def status(self) -> int:
        """The status code; 200 also where a proxy says that it changed something (203; RFC 9110, 15.3.4), 404 also for
        what is gone for good (410)."""
        return _SAME.get(self._response.status, self._response.status)

    @property
    def source(self) -> str:
        """The parent's name."""
        return self._sender.name

    @property
    def near(self) -> str:
        """See `Provenance.near`."""
        return self._sender.near

    @property
    def length(self) -> int | None:
        """Content-Length, where there is one that is a number."""
        return self._response.content_length

    @property
    def media_type(self) -> str:
        """Content-Type without its parameters; empty where there is none."""
        return self.field("Content-Type").partition(";")[0].strip()

    def field(self, name: str, default: str = "") -> str:
        """A field of the head; of several lines the first."""
        return self._response.headers.get(name, default)

    def lines(self, name: str) -> list[str]:
        """Every line of a field."""
        return self._response.headers.getall(name, [])

    def stall(self) -> Stall:
        """To be entered while pieces are received: cuts the answer off where it stands still or drips."""
        return Stall(self._sender, self._response.close)

    async def begin(self, least: int) -> None:
        """Have `least` bytes of the body here, or all that will come; why no more do `piece` tells."""
        size = sum(map(len, self._early))
        with suppress(aiohttp.ClientError, OSError, RuntimeError):  # the last: the connection is closed
            while size < least and (data := await self._received()):
                self._early.append(data)
                size += len(data)

    async def _received(self) -> bytes:
        """The next bytes; empty at the body's end, not at that of a chunk of it (RFC 9112 section 7.1). Those that came
        before the connection broke come before the fault."""
        while True:
            try:
                data, ends_chunk = await self._response.content.readchunk()
            except (aiohttp.ClientError, OSError):
                if data := _left(self._response.content):
                    return data
                raise
            if data or not ends_chunk:
                return data

    async def piece(self, stall: Stall) -> bytes:
        """The next bytes of the body, as they came; empty at its end."""
        stall.wait()
        try:
            data = self._early.popleft() if self._early else await self._received()
        except aiohttp.ClientError:
            if stall.stalled:
                raise stall.failure() from None
            raise
        stall.came(len(data))
        if self._answered is not None:
            self._begins()
        self._sender.heard(len(data), self._registry)
        return data

    def _begins(self) -> None:
        answered, self._answered = self._answered, None
        if answered is not None:
            answered()

    async def body(self, limit: int) -> bytes:
        """The whole body; `SourceUnreadable` where it is longer than `limit` bytes."""
        if (self.length or 0) > limit:
            raise SourceUnreadable(f"sent more than {limit} bytes", source=self.source)
        parts: list[bytes] = []
        total = 0
        with self.stall() as stall:
            while data := await self.piece(stall):
                total += len(data)
                if total > limit:
                    raise SourceUnreadable(f"sent more than {limit} bytes", source=self.source)
                parts.append(data)
        return b"".join(parts)

    async def plain_body(self, limit: int) -> bytes:
        """The whole body, its Content-Encoding undone; `SourceUnreadable` where it is longer than `limit` bytes then.

        For what no digest proves. Identity is asked for, and some compress all the same."""
        data = await self.body(limit)
        try:
            return decoded(data, self.field("Content-Encoding"), limit)
        except ValueError as fault:
            raise SourceUnreadable(str(fault), source=self.source) from None

    def direct(self, length: int) -> AbstractContextManager[DirectBody | None]:
        """The body of `length` bytes, to be received by the thread that stores it; None where it cannot be."""
        return direct_body(self._response, length, self._sender, self._registry, self._begins, self._early)


def _left(content: aiohttp.StreamReader) -> bytes:
    """The bytes that a stream holds back, as the client does once its connection broke."""
    fault = content.exception()
    if fault is None:
        return b""
    content.set_exception(cast(BaseException, None))
    try:
        return content.read_nowait()
    finally:
        content.set_exception(fault)
