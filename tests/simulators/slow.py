"""A registry on a real socket that holds one blob and is in no hurry to give it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

_RANGE: Final = re.compile(r"\r\nrange: bytes=(\d+)-(\d*)", re.IGNORECASE)


@dataclass
class SlowRegistry:
    """Answers each GET with the blob or the range of it, in steps of `step` bytes, one each `pause` seconds, and hangs
    up after `most` bytes of a body."""

    data: bytes
    step: int = 1
    pause: float = 0.05
    most: int | None = None
    drips_head: bool = False
    """The head of an answer comes in such steps, too."""
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
        found = _RANGE.search(head)
        first = int(found[1]) if found else 0
        stop = min(len(self.data), int(found[2]) + 1) if found and found[2] else len(self.data)
        length = f"Content-Length: {stop - first}\r\n\r\n"
        if found:
            span = f"Content-Range: bytes {first}-{stop - 1}/{len(self.data)}"
            said = f"HTTP/1.1 206 Partial Content\r\n{span}\r\n{length}".encode()
        else:
            said = f"HTTP/1.1 200 OK\r\n{length}".encode()
        if head.startswith("HEAD"):
            writer.write(said)
            return
        self.asked += 1
        await self._send(writer, said, slowly=self.drips_head)
        body = self.data[first:stop]
        await self._send(writer, body[: self.most] if self.most else body, slowly=True)
        if self.most and len(body) > self.most:
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


@asynccontextmanager
async def slow_registry(registry: SlowRegistry) -> AsyncIterator[SlowRegistry]:
    listening = await asyncio.start_server(registry, "127.0.0.1", 0)
    registry.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield registry
    finally:
        listening.close()
