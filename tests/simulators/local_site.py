"""A site in this process: its edge on a socket, its parents at sockets, its store in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp
from yarl import URL

from registry_mesh.auth.access import AnonymousAccess, Level
from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.nest.freshness import Freshness
from registry_mesh.edge.server import Server
from registry_mesh.edge.settings import Settings
from registry_mesh.oci.reference import RegistryName
from registry_mesh.roles.site import Site, SiteRegistry
from registry_mesh.stores.memory.records import MemoryRecords
from registry_mesh.stores.memory.store import MemoryStore
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession
from registry_mesh.upstream.way import Way
from tests.simulators.upstream import PATIENT

REGISTRY = RegistryName("registry.example")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class LocalSite:
    """Asked as a client asks; header names with `_` for `-`."""

    url: str
    session: aiohttp.ClientSession
    store: MemoryStore

    async def ask(self, method: str, path: str, **headers: str) -> Answer:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        url = URL(self.url + path, encoded=True)
        async with self.session.request(method, url, headers=fields, allow_redirects=False) as answer:
            told = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(answer.status, told, await answer.read())

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.ask("GET", path, **headers)

    async def head(self, path: str, **headers: str) -> Answer:
        return await self.ask("HEAD", path, **headers)


@asynccontextmanager
async def local_site(*parents: str, freshness: Freshness | None = None) -> AsyncIterator[LocalSite]:
    """Serves `registry.example` from the parents at these addresses, in this order."""
    async with AsyncExitStack() as stack:
        sessions = await stack.enter_async_context(open_session(Way(hosts=frozenset({"127.0.0.1"}))))
        offers = [UpstreamRegistry(ParentSession(sessions, url, None, PATIENT), REGISTRY) for url in parents]
        registry = SiteRegistry([[offer] for offer in offers], freshness or Freshness())
        store = MemoryStore()
        fills = Fills(store)
        stack.push_async_callback(fills.close)
        site = Site(store, MemoryRecords(), fills, {REGISTRY: registry})
        stack.push_async_callback(site.close)
        server = Server(site, Settings(policy=AnonymousAccess(Level.PULL), name="near"))
        await server.start()
        stack.push_async_callback(server.close)
        client = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
        yield LocalSite(f"http://127.0.0.1:{server.port}", client, store)
