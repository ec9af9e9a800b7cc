"""A client that asks for what nobody has, again and again for something else; and the others meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest_asyncio

from registry_mesh.assembly.node.build import running
from registry_mesh.config.load import parse
from registry_mesh.oci.digest import Digest
from tests.simulators.parent import PlainParent, plain_parent

A_SECOND = 1
CONNECTIONS = 20
MOST = A_SECOND * 60 + CONNECTIONS
"""Questions until a client has had its share: a minute of it, and what it had under way."""
KINDS = ("HEAD blobs", "GET blobs", "GET manifests", "GET referrers", "GET tags")


@dataclass
class Client:
    session: aiohttp.ClientSession
    site: str

    async def ask(self, method: str, path: str, **fields: str) -> tuple[int, bytes]:
        async with self.session.request(method, f"{self.site}/v2/team/app/{path}", headers=fields) as answer:
            assert answer.status not in (429, 503) or int(answer.headers["Retry-After"]) > 0
            return answer.status, await answer.read()

    async def all(self, asked: Sequence[tuple[str, str]], **fields: str) -> Counter[int]:
        """How often each status came; as many at a time as there are connections."""
        return Counter(
            status for status, _ in await asyncio.gather(*(self.ask(*each, **fields) for each in asked))
        )


@dataclass
class World:
    parent: PlainParent
    site: str
    stack: AsyncExitStack
    addresses: itertools.count[int]

    async def client(self) -> Client:
        """Another one, by its address."""
        connector = aiohttp.TCPConnector(limit=CONNECTIONS, local_addr=(f"127.0.0.{next(self.addresses)}", 0))
        return Client(
            await self.stack.enter_async_context(aiohttp.ClientSession(connector=connector)), self.site
        )


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        parent = await stack.enter_async_context(plain_parent())
        document = {
            "role": "site",
            "workers": 1,
            "listen": {"port": 0},
            "admin": {"port": 0},
            "store": {"disk": {"path": str(tmp_path / "store")}},
            "registries": {"r.example": {"parents": [[parent.url]]}},
            "limits": {"client_unknown": A_SECOND},
        }
        node = await stack.enter_async_context(running(parse(json.dumps(document), "site.yaml").config))
        yield World(parent, node.url, stack, itertools.count(2))


def made_up(kind: str, count: int) -> list[tuple[str, str]]:
    method, what = kind.split()
    digests = [Digest.of(f"{kind} {n}".encode()) for n in range(count)]
    if what == "tags":
        return [(method, f"manifests/never-{each.hex[:20]}") for each in digests]
    return [(method, f"{what}/{each}") for each in digests]


async def test_ten_thousand_cost_a_share_and_nobody_else_notices(world: World) -> None:
    world.parent.add_image("1", b"held", b"not yet asked for")
    late = world.parent.add_image("2", b"other")
    held, named = Digest.of(b"held"), Digest.of(b"not yet asked for")
    first = await world.client()
    assert (await first.ask("GET", "manifests/1"))[0] == 200
    for _ in range(3):
        assert await first.ask("GET", f"blobs/{held}") == (200, b"held")
    clients = {kind: await world.client() for kind in KINDS}
    wanted = {kind: made_up(kind, 3 * MOST) for kind in KINDS}
    loop = asyncio.get_running_loop()
    began = loop.time()
    came = await asyncio.gather(*(client.all(wanted[kind]) for kind, client in clients.items()))
    most = MOST + CONNECTIONS + A_SECOND * (loop.time() - began)
    questions = {path for _, path in world.parent.requests}
    for (kind, client), statuses in zip(clients.items(), came, strict=True):
        asked = sum(f"/v2/team/app/{path}" in questions for _, path in wanted[kind])
        assert asked <= most, f"{kind}: {asked} questions for {3 * MOST} that nobody has"
        assert set(statuses) == {503, 200 if "referrers" in kind else 404}, kind
        assert await client.ask("GET", f"blobs/{held}") == (200, b"held"), "what is here"
        assert (await client.ask("GET", "manifests/1"))[0] == 200
    client = clients["GET manifests"]
    assert await client.ask("GET", f"blobs/{named}") == (200, b"not yet asked for"), "what a manifest names"
    assert (await (await world.client()).ask("GET", f"manifests/{late}"))[0] == 200, "another client"
    assert (await client.ask("GET", f"manifests/{late}"))[0] == 200, "which is known now"


async def test_what_parents_have_costs_no_share(world: World) -> None:
    """Images by digest, at a site that has never seen them, for a thousand nodes behind one address."""
    digests = [world.parent.add_image(f"t{n}", b"%d" % n) for n in range(MOST + CONNECTIONS)]
    client = await world.client()
    assert await client.all([("GET", f"manifests/{each}") for each in digests]) == {200: len(digests)}
    layers = [("GET", f"blobs/{Digest.of(b'%d' % n)}") for n in range(MOST + CONNECTIONS)]
    assert await client.all(layers) == {200: len(layers)}


async def test_the_same_from_many_is_one_question(world: World) -> None:
    """A thousand nodes want what is lost, and verify an image that nobody signed."""
    client = await world.client()
    for kind in ("GET manifests", "GET tags", "GET blobs"):
        assert await client.all(made_up(kind, 1) * 2 * MOST) == {404: 2 * MOST}, kind
