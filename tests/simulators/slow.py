"""A registry on a real socket that holds a few blobs and is in no hurry to give them."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

_BLOB: Final = re.compile(r"/blobs/(\S+)")
_RANGE: Final = re.compile(r"\r\nrange: bytes=(\d+)-(\d*)", re.IGNORECASE)


@dataclass
class SlowRegistry:
    """Answers each GET with the blob or the range of it, in steps of `step` bytes, one each `pause` seconds, and hangs
    up after `most` bytes of a body; every `resets`th is reset after `reset_after` bytes."""

    data: bytes = b""
    """The blob of every digest that is not among `blobs`."""
    blobs: dict[str, bytes] = field(default_factory=dict)
    step: int = 1
    pause: float = 0.05
    most: int | None = None
    drips_head: bool = False
    """The head of an answer comes in such steps, too."""
    resets: int = 0
    reset_after: int = 0
    asked: int = 0
    """Requests for blobs."""
    sent: int = 0
    url: str = ""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                await self._answer(head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, head: str, writer: asyncio.StreamWriter) -> None:
        if " /v2/ " in head:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            return
        named = _BLOB.search(head)
        data = self.blobs.get(named[1], self.data) if named else self.data
        found = _RANGE.search(head)
        first = int(found[1]) if found else 0
        stop = min(len(data), int(found[2]) + 1) if found and found[2] else len(data)
        length = f"Content-Length: {stop - first}\r\n\r\n"
        if found:
            span = f"Content-Range: bytes {first}-{stop - 1}/{len(data)}"
            said = f"HTTP/1.1 206 Partial Content\r\n{span}\r\n{length}".encode()
        else:
            said = f"HTTP/1.1 200 OK\r\n{length}".encode()
        if head.startswith("HEAD"):
            writer.write(said)
            return
        self.asked += 1
        await self._body(writer, said, data[first:stop], resets=self.resets and self.asked % self.resets == 0)

    async def _body(
        self, writer: asyncio.StreamWriter, said: bytes, body: bytes, *, resets: bool | int
    ) -> None:
        if resets and not self.reset_after:
            _reset(writer)
            return
        await self._send(writer, said, slowly=self.drips_head)
        most = min(self.most or len(body), self.reset_after if resets else len(body))
        await self._send(writer, body[:most], slowly=True)
        if resets:
            _reset(writer)
        elif most < len(body):
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter, data: bytes, *, slowly: bool) -> None:
        if not slowly:
            writer.write(data)
            return
        for start in range(0, len(data), self.step):
            writer.write(data[start : start + self.step])
            self.sent += min(self.step, len(data) - start)
            await writer.drain()
            await asyncio.sleep(self.pause)


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def slow_registry(registry: SlowRegistry) -> AsyncIterator[SlowRegistry]:
    listening = await asyncio.start_server(registry, "127.0.0.1", 0)
    registry.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield registry
    finally:
        listening.close()
