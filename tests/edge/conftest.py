"""A server over a simulated role, clients, and raw sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest_asyncio
import uvloop
from yarl import URL

from registry_mesh.auth.access import AnonymousAccess, Level
from registry_mesh.edge.server import Server
from registry_mesh.edge.settings import Settings
from tests.edge.twins import Twins, open_twins
from tests.simulators.role import Shelf, SimulatedRole

ADMIN = Settings(policy=AnonymousAccess(Level.ADMIN))


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every test of this room on both loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    lines: list[tuple[str, str]] = field(default_factory=list)

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["errors"][0]["code"])


@dataclass
class Edge:
    role: SimulatedRole
    server: Server
    session: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    @property
    def shelf(self) -> Shelf:
        return self.role.shelf("team/app")

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """Header names with `_` for `-`."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        url = URL(self.url + path, encoded=True)
        async with self.session.request(
            method, url, data=body, headers=fields, allow_redirects=False
        ) as response:
            lines = list(response.headers.items())
            return Answer(response.status, {k.lower(): v for k, v in lines}, await response.read(), lines)

    @asynccontextmanager
    async def raw(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port, limit=1 << 20)
        try:
            yield reader, writer
        finally:
            writer.close()


async def read_to_the_end(reader: asyncio.StreamReader) -> bytes:
    """What comes until the connection is closed or, as something was on its way to it still, reset. What had come
    before a reset would be lost by `reader.read()`."""
    came = bytearray()
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            came += data
    return bytes(came)


Start = Callable[..., Awaitable[Edge]]


@pytest_asyncio.fixture
async def start() -> AsyncIterator[Start]:
    """Start a server over a role (`role=`) with settings (`settings=`); by default an origin where all is allowed."""
    running: list[Edge] = []

    async def start(role: SimulatedRole | None = None, settings: Settings = ADMIN) -> Edge:
        role = role or SimulatedRole()
        server = Server(role, settings)
        await server.start()
        connector = aiohttp.TCPConnector(limit=0)
        session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        running.append(Edge(role, server, session))
        return running[-1]

    yield start
    for edge in running:
        await edge.session.close()
        await edge.server.close()


@pytest_asyncio.fixture
async def edge(start: Start) -> Edge:
    return await start()


@pytest_asyncio.fixture
async def twins(tmp_path: Path) -> AsyncIterator[Twins]:
    async with open_twins(tmp_path) as twins:
        yield twins
