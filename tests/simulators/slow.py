"""A registry on a real socket that holds a few blobs and is in no hurry to give them."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass, field

from tests.simulators.bare import BareRegistry, answer_head, blob_of, span_of


@dataclass
class SlowRegistry(BareRegistry):
    """Answers each GET with the blob or the range of it, in steps of `step` bytes, one each `pause` seconds, and hangs
    up after `most` bytes of a body; every `resets`th is reset after `reset_after` bytes."""

    data: bytes = b""
    """The blob of every digest that is not among `blobs`."""
    blobs: dict[str, bytes] = field(default_factory=dict)
    whole: bytes = b""
    """The blob that is given at once."""
    step: int = 1
    pause: float = 0.05
    gate: asyncio.Event | None = None
    """Where there is one, no step leaves before it is set."""
    most: int | None = None
    drips_head: bool = False
    """The head of an answer comes in such steps, too."""
    resets: int = 0
    reset_after: int = 0
    reset_pause: float = 0.0
    """Seconds between the last byte and the reset: what was not received by then is lost."""
    asked: int = 0
    """Requests for blobs."""
    sent: int = 0
    url: str = ""

    async def answer(self, head: str, writer: asyncio.StreamWriter) -> None:
        if " /v2/ " in head:
            writer.write(answer_head(None, 2) + b"{}")
            return
        data = self.blobs.get(blob_of(head) or "", self.data)
        span = span_of(head, len(data))
        said = answer_head(span, len(data))
        if head.startswith("HEAD"):
            writer.write(said)
            return
        self.asked += 1
        body = data if span is None else data[span.start : span.stop]
        if data is self.whole:
            writer.write(said + body)
            self.sent += len(body)
            return
        await self._body(writer, said, body, resets=self.resets and self.asked % self.resets == 0)

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
            await asyncio.sleep(self.reset_pause)
            _reset(writer)
        elif most < len(body):
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter, data: bytes, *, slowly: bool) -> None:
        if not slowly:
            writer.write(data)
            return
        for start in range(0, len(data), self.step):
            if self.gate is not None:
                await self.gate.wait()
            writer.write(data[start : start + self.step])
            self.sent += min(self.step, len(data) - start)
            await writer.drain()
            await asyncio.sleep(self.pause)


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
