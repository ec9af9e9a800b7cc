"""A relay before a server that counts, and slows, what clients send to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

GULP = 64 << 10


@dataclass
class Uphill:
    """`sent`: bytes that clients sent, heads too. `rate`: bytes a second of each connection; None: as fast as they
    come."""

    port: int
    sent: int = 0
    rate: float | None = None
    url: str = ""
    mark: int | None = None
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when `mark` bytes have been sent."""

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to = await asyncio.open_connection("127.0.0.1", self.port, limit=GULP)
        to.transport.set_write_buffer_limits(high=0)
        down = asyncio.ensure_future(self._down(there, writer))
        try:
            with suppress(OSError):
                while data := await reader.read(GULP):
                    self.sent += len(data)
                    if self.mark is not None and self.sent >= self.mark:
                        self.reached.set()
                    to.write(data)
                    await to.drain()
                    if self.rate is not None:
                        await asyncio.sleep(len(data) / self.rate)
        finally:
            down.cancel()
            to.close()
            writer.close()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(GULP):
                writer.write(data)
                await writer.drain()
            writer.close()


@asynccontextmanager
async def uphill(port: int) -> AsyncIterator[Uphill]:
    """Before the server at the port of this machine."""
    made = Uphill(port)
    server = await asyncio.start_server(made.carry, "127.0.0.1", 0, limit=GULP)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
