"""How often a site asks its parent about a tag, and what. Real processes; the parents are one of ours and one that is
not, and the wire between writes everything down."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_CONFIG, OCI_MANIFEST
from tests.clients import nodes, registries
from tests.clients.wire import Seen, Wire, table
from tests.eventually import eventually

pytestmark = pytest.mark.slow

IMAGE = "/v2/team/app/manifests/1"


@dataclass
class World:
    """`url`, a parent ← `wire` ← `node`, two workers."""

    url: str
    wire: Wire
    node: nodes.Node
    client: aiohttp.ClientSession
    texts: dict[str, bytes] = field(default_factory=dict)

    async def start(self, **tags: str) -> None:
        registry = nodes.registries(self.wire.url, tags={"stale_while_revalidate": "0s", **tags})
        self.node.change({"role": "site", "workers": 2, "registries": registry})
        await asyncio.to_thread(self.node.start)

    async def push(self, name: str) -> str:
        """The tag points at another image from now on; its digest."""
        config = json.dumps({"architecture": "amd64", "os": "linux", "author": name}).encode()
        digest = await registries.push(self.client, self.url, config)
        described = {"mediaType": OCI_CONFIG, "digest": str(digest), "size": len(config)}
        text = json.dumps(
            {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described, "layers": []}
        ).encode()
        fields = {"Content-Type": OCI_MANIFEST}
        async with self.client.put(self.url + IMAGE, data=text, headers=fields) as answer:
            assert answer.status == 201, await answer.text()
        named = str(Digest.of(text))
        self.texts[named] = text
        return named

    async def pull(self, method: str = "GET") -> tuple[str, int]:
        """The digest that the site says the tag has, and the age of that in seconds."""
        async with self.client.request(method, self.node.url + IMAGE) as answer:
            body = await answer.read()
            assert answer.status == 200, body
            digest = answer.headers["Docker-Content-Digest"]
            assert body == (self.texts[digest] if method == "GET" else b"")
            return digest, int(answer.headers.get("Age", "0"))

    def asked(self) -> list[Seen]:
        """Requests for manifests that crossed the wire."""
        return [each for each in self.wire.seen() if each.of_manifest]

    def about_the_tag(self) -> list[tuple[str, str | None, int | None]]:
        """Method, condition and status of those that named the tag."""
        return [
            (each.method, each.headers.get("If-None-Match"), each.status)
            for each in self.asked()
            if each.target.partition("?")[0] == IMAGE
        ]

    async def confirmed(self, digest: str) -> int:
        """Pull until the parent was asked; the tag must be `digest` all along. How old it is then said to be."""

        async def asked() -> bool:
            assert (await self.pull())[0] == digest
            return bool(self.about_the_tag())

        await eventually(asked, "the parent to be asked", 60, 0.05)
        return (await self.pull())[1]


@pytest_asyncio.fixture(params=["docker-registry", "ours"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        if request.param == "ours":
            url = stack.enter_context(nodes.origin(tmp_path / "origin")).url
        else:
            url = stack.enter_context(registries.docker_registry(tmp_path / "registry"))
        wire = stack.enter_context(Wire(url, tmp_path / "wire"))
        connector = aiohttp.TCPConnector(force_close=True)  # any worker may answer
        client = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        node = nodes.site(tmp_path / "site", wire.url)
        stack.callback(node.kill)
        yield World(url, wire, node, client)


async def test_a_tag_is_asked_for_once_and_then_only_confirmed(world: World) -> None:
    first = await world.push("first")
    await world.start(ttl="1h")
    began = time.monotonic()
    assert (await world.pull())[0] == first
    assert world.about_the_tag() == [("HEAD", None, 200)]
    assert [each.method for each in world.asked()] == ["HEAD", "GET"], table(world.asked())

    world.wire.forget()
    for _ in range(10):
        for method in ("GET", "HEAD"):
            assert (await world.pull(method))[0] == first
    assert world.asked() == [], "nobody is asked within the TTL"

    world.node.stop()
    await asyncio.sleep(3)
    await world.start(ttl="2s")
    age = await world.confirmed(first)
    condition = f'"{first}"'
    assert set(world.about_the_tag()) == {("HEAD", condition, 304)}, table(world.asked())
    assert [each for each in world.asked() if each.method == "GET"] == [], "the manifest is not moved again"
    assert age < time.monotonic() - began - 2, "confirmed just now"

    second = await world.push("second")
    world.wire.forget()
    await eventually(
        world.pull, "the second image", seconds=60, pause=0.05, until=lambda pulled: pulled[0] == second
    )
    assert ("HEAD", condition, 200) in world.about_the_tag(), table(world.asked())
    world.wire.forget()
    await world.confirmed(second)
    assert set(world.about_the_tag()) == {("HEAD", f'"{second}"', 304)}, table(world.asked())

    world.node.stop()
    await world.start(ttl="1h")
    world.wire.forget()
    for _ in range(10):
        assert (await world.pull())[0] == second
    assert world.asked() == [], "what was confirmed is good for another TTL"


async def test_a_parent_that_confirms_something_else_is_not_believed(world: World) -> None:
    """It answers 304 for another digest, as a broken cache in front of it would: named, and the old answer is told
    with its age until the parent is right again."""
    first = await world.push("first")
    await world.start(ttl="1h")
    await world.pull()
    world.node.stop()
    wrong = {"ETag": f'"sha256:{"0" * 64}"'}
    world.wire.fault({"match": f"HEAD {IMAGE}", "do": "status", "code": 304, "headers": wrong})
    await world.start(ttl="1s")
    second = await world.push("second")

    async def named() -> bool:
        assert (await world.pull())[0] == first
        return await lies(world)

    await eventually(named, "the lie to be named", 60, 0.05)
    async with world.client.get(world.node.url + IMAGE) as answer:
        assert answer.headers["Docker-Content-Digest"] == first
        assert answer.headers["Warning"].startswith("299 ")
    world.wire.fault()
    await eventually(
        world.pull, "the second image", seconds=60, pause=0.05, until=lambda pulled: pulled[0] == second
    )


async def lies(world: World) -> int:
    async with world.client.get(f"{world.node.admin}/status") as answer:
        ((parent,),) = (await answer.json())["registries"][nodes.REGISTRY]["parents"]
        return int(parent["lies"])
