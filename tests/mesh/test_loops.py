"""Nodes that are each other's parents: a clear answer at once, and no waiting for oneself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from registry_mesh.assembly.node.build import Node, build
from registry_mesh.config.schema import Config
from registry_mesh.oci.digest import Digest
from tests.eventually import eventually
from tests.simulators.parent import PlainParent, plain_parent
from tests.simulators.pauses import watched
from tests.simulators.ports import free_port

LAYER = b"a layer" * 100_000
DIGEST = Digest.of(LAYER)
UNKNOWN = Digest.of(b"nobody has it")


class Tree:
    """Sites in one process, each on a port that is known before any of them starts."""

    def __init__(self, folder: Path, stack: AsyncExitStack, client: aiohttp.ClientSession) -> None:
        self._folder, self._stack, self._client = folder, stack, client
        self.nodes: list[Node] = []

    async def start(self, ports: Sequence[int], parents: Sequence[Sequence[str]]) -> None:
        """One site on each port; `parents` of each, every one a group of its own."""
        for index, (port, above) in enumerate(zip(ports, parents, strict=True)):
            config = {
                "role": "site",
                "name": f"site{index}",
                "listen": {"address": "127.0.0.1", "port": port},
                "admin": {"port": 0},
                "store": {"disk": {"path": str(self._folder / str(index))}},
                "registries": {"registry.example": {"default": True, "parents": [[url] for url in above]}},
            }
            node = build(Config.model_validate(config))
            await node.start()
            self._stack.push_async_callback(node.close)
            self.nodes.append(node)

    async def get(self, node: Node, path: str) -> tuple[int, bytes, str, float]:
        """Status, body, Cache-Status, seconds."""
        began = time.monotonic()
        async with self._client.get(f"{node.url}/v2/team/app/{path}") as answer:
            body = await answer.read()
            return answer.status, body, answer.headers.get("Cache-Status", ""), time.monotonic() - began

    def standing(self, node: Node) -> list[str]:
        """Why each parent of the node is not asked."""
        now = time.monotonic()
        return [node.board.sheet(name).standing(now).why for name in node.board.names]


@pytest_asyncio.fixture
async def tree(tmp_path: Path) -> AsyncIterator[Tree]:
    async with AsyncExitStack() as stack:
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        client = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        yield Tree(tmp_path, stack, client)


@pytest_asyncio.fixture
async def parent() -> AsyncIterator[PlainParent]:
    async with plain_parent() as made:
        made.add_image("1", LAYER)
        yield made


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def says_so(status: int, body: bytes) -> bool:
    """Whether that refuses, for it was asked in a ring."""
    said = b"leads back" in body or b"passed this node before" in body
    return status in (503, 508) and said


PATHS = (f"blobs/{UNKNOWN}", "manifests/1", f"manifests/{UNKNOWN}", "tags/list", f"referrers/{UNKNOWN}")


@pytest.mark.parametrize("size", [1, 2, 3])
async def test_a_ring_answers_at_once_and_says_why(tree: Tree, size: int) -> None:
    ports = [free_port() for _ in range(size)]
    await tree.start(ports, [[url(ports[(i + 1) % size])] for i in range(size)])
    asked: list[Any] = [tree.get(node, path) for path in PATHS for node in tree.nodes]
    async with watched() as pauses:
        answers, seconds = await pauses.timed(asyncio.gather(*asked))
    assert seconds < 8, "10 s is what a hung parent is given"
    assert {status for status, *_ in answers} <= {503, 508}
    known = "leads back to this node"
    await eventually(lambda: all(known in tree.standing(node)[0] for node in tree.nodes), "all to know")
    if size == 2:
        found = tree.nodes[0].keeper.findings
        await eventually(lambda: "loop" in {each.name for each in found().findings}, found)
    for node in tree.nodes:
        for path in PATHS:
            status, body, _, _ = await tree.get(node, path)
            assert status in (503, 508)
            assert b"leads back to this node" in body or b"passed this node before" in body


async def test_the_first_answer_of_a_ring_says_so_already(tree: Tree) -> None:
    """Nodes ask each other for tags by HEAD, whose answer has no body to say it in."""
    ports = [free_port() for _ in range(2)]
    await tree.start(ports, [[url(ports[1])], [url(ports[0])]])
    status, body, _, _ = await tree.get(tree.nodes[0], "manifests/1")
    assert says_so(status, body)


async def test_of_a_ring_the_node_that_has_another_parent_is_served(tree: Tree, parent: PlainParent) -> None:
    """The other is, until it has met its parent, which is above itself by what it says; then it says so."""
    ports = [free_port() for _ in range(2)]
    outside = f"http://127.0.0.1:{parent.port}"
    await tree.start(ports, [[url(ports[1])], [url(ports[0]), outside]])
    other, served = tree.nodes
    for path, body in ((f"blobs/{DIGEST}", LAYER), ("manifests/1", parent.manifests["1"][1])):
        status, got, _, _ = await tree.get(served, path)
        assert status == 200 and got == body, path

        async def is_answered(path: str = path, body: bytes = body) -> bool:
            status, got, _, _ = await tree.get(other, path)
            return (status == 200 and got == body) or says_so(status, got)

        await eventually(is_answered, path)

    async def has_met() -> bool:
        status, got, _, _ = await tree.get(other, f"blobs/{UNKNOWN}")
        return says_so(status, got)

    await eventually(has_met, "it to say so")


async def test_a_chain_of_eight_tells_the_whole_way(tree: Tree, parent: PlainParent) -> None:
    ports = [free_port() for _ in range(8)]
    above = [f"http://127.0.0.1:{parent.port}", *map(url, ports[:-1])]
    await tree.start(ports, [[each] for each in above])
    for path in (f"manifests/{Digest.of(parent.manifests['1'][1])}", f"blobs/{DIGEST}"):
        async with asyncio.timeout(30):
            status, _, told, _ = await tree.get(tree.nodes[-1], path)
        assert status == 200
        names = [member.strip().partition(";")[0].strip('"') for member in told.split(",")]
        assert names == [f"site{index}" for index in range(8)], told
    _, _, told, _ = await tree.get(tree.nodes[-1], f"blobs/{DIGEST}")
    assert told == '"site7"; hit'
    _, _, told, _ = await tree.get(tree.nodes[3], f"blobs/{DIGEST}")
    assert told == '"site3"; hit'
    lowest = tree.nodes[-1].board
    await eventually(lambda: len(lowest.above()) == 7, lambda: f"all above, not {lowest.above()}")
