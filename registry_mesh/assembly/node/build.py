"""A whole node in one process: for trees in a test, and for whatever wants a node without its own processes.

`lifecycle` runs the same two halves in processes of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from registry_mesh.assembly.labels import board, layout
from registry_mesh.assembly.node.keeper import Keeper
from registry_mesh.assembly.node.worker import Worker
from registry_mesh.assembly.sources.parents import Seen
from registry_mesh.assembly.supervision.seats import Seats, State
from registry_mesh.assembly.supervision.sockets import listen
from registry_mesh.assembly.supervision.told import Told
from registry_mesh.config.schema import Config
from registry_mesh.config.values import host_and_port
from registry_mesh.telemetry.instruments import Table

BEAT: float = 2.0
"""Seconds between two signs of life."""


class Node:
    """One node with one worker. Ports that are 0 are chosen at `start`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.table = Table(layout(config), 2)
        self.seats = Seats(1)
        self.board = board(config, 2)
        self.told = Told()
        self.worker = Worker(config, self.table.row(0), Seen(self.board, 0), told=self.told)
        self.keeper = Keeper(config, self.table, self.seats, 1, self.board, self.told)
        self._stack = AsyncExitStack()
        self.url = self.admin_url = ""

    async def start(self) -> None:
        """Serve and answer the operator. `AddressTaken`, `StoreBroken`, `NotBuilt`."""
        config = self.config
        async with AsyncExitStack() as stack:
            serving = stack.enter_context(
                contextlib.closing(listen(config.listen.address, config.listen.port)[0])
            )
            operating = stack.enter_context(
                contextlib.closing(listen(config.admin.address, config.admin.port)[0])
            )
            scheme = "https" if config.listen.tls else "http"
            self.url = f"{scheme}://{host_and_port(config.listen.address, serving.getsockname()[1])}"
            admin_scheme = "https" if config.admin.tls else "http"
            self.admin_url = (
                f"{admin_scheme}://{host_and_port(config.admin.address, operating.getsockname()[1])}"
            )
            seat = self.seats.workers[0]
            seat.take(os.getpid())
            await self.keeper.start(operating)
            stack.push_async_callback(self.keeper.close)
            await self.worker.start(serving)
            stack.push_async_callback(self.worker.close)
            seat.enter(State.SERVING)
            beating = asyncio.create_task(beat(self.seats, 0))
            stack.callback(beating.cancel)
            self._stack = stack.pop_all()

    async def drain(self, seconds: float | None = None) -> None:
        """Accept nothing more; let what runs go on for so long (the configuration's `drain` where None)."""
        self.seats.workers[0].enter(State.DRAINING)
        await self.worker.drain(self.config.drain if seconds is None else seconds)

    async def close(self) -> None:
        """Close every part in turn, and give the seat up."""
        await self._stack.aclose()
        self.seats.workers[0].leave()


def build(config: Config) -> Node:
    """The node that `config` describes, not yet started."""
    return Node(config)


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[Node]:
    """The node, started; closed at the end."""
    node = build(config)
    await node.start()
    try:
        yield node
    finally:
        await node.close()


async def beat(seats: Seats, index: int) -> None:
    """Give signs of life from this loop, for ever: one that hangs gives none."""
    seat = [*seats.workers, seats.keeper][index]
    while True:
        seat.beat()
        await asyncio.sleep(BEAT)
