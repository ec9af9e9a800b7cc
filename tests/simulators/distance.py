"""A long way to a server: every byte takes half a round trip, whatever is spoken over the connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Distance:
    """A relay on `port`. A connection costs one round trip of `rtt` seconds, as its handshake would, and each flight
    of bytes half of one: TLS and HTTP pay for what they send to and fro."""

    rtt: float
    to_port: int
    port: int = 0
    connections: int = 0
    ends: set[asyncio.Task[None]] = field(default_factory=set)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await asyncio.sleep(self.rtt)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to_port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._relay(reader, far_writer), self._relay(far_reader, writer))

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def arrive() -> None:
            while True:
                due, data = await under_way.get()
                await asyncio.sleep(max(0.0, due - loop.time()))
                if not data:
                    writer.close()
                    return
                writer.write(data)
                await writer.drain()

        arriving = loop.create_task(arrive())
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                under_way.put_nowait((loop.time() + self.rtt / 2, data))
        under_way.put_nowait((loop.time() + self.rtt / 2, b""))
        with suppress(OSError):
            await arriving

    async def accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.ends.add(task)
        try:
            await self._carry(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self.ends.discard(task)


@asynccontextmanager
async def distance(to_port: int, rtt: float) -> AsyncIterator[Distance]:
    made = Distance(rtt, to_port)
    server = await asyncio.start_server(made.accepted, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        tasks = list(made.ends)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
