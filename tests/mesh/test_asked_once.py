"""A node of several processes, and one tag that nobody has yet: what is asked of its parent."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from itertools import count
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from registry_mesh.oci.media_types import OCI_INDEX, OCI_MANIFEST
from tests.clients import nodes
from tests.eventually import eventually
from tests.simulators.parent import PlainParent, plain_parent
from tests.simulators.pauses import patient_client, steady

WORKERS, CLIENTS = 8, 200
TAGS = map(str, count())
"""Each is another one, also where the test is done once more."""


class Crowd:
    """Clients of one site, each on a connection of its own."""

    def __init__(self, parent: PlainParent, node: nodes.Node, client: aiohttp.ClientSession) -> None:
        self.parent, self.node, self._client = parent, node, client

    async def get(self, reference: str) -> int:
        """The status; 0 where the connection was cut."""
        try:
            async with self._client.get(f"{self.node.url}/v2/team/app/manifests/{reference}") as answer:
                await answer.read()
                return answer.status
        except aiohttp.ClientError:
            return 0

    async def all(self, reference: str) -> Counter[int]:
        return Counter(await asyncio.gather(*(self.get(reference) for _ in range(CLIENTS))))

    def asked(self) -> Counter[tuple[str, str]]:
        """Of manifests, by method and reference."""
        asked = [(method, path.partition("/manifests/")[2]) for method, path in self.parent.requests]
        return Counter(each for each in asked if each[1])

    async def workers(self) -> list[int]:
        async with self._client.get(f"{self.node.admin}/status") as answer:
            status = await answer.json()
        return [worker["pid"] for worker in status["workers"]]


@pytest_asyncio.fixture
async def crowd(tmp_path: Path) -> AsyncIterator[Crowd]:
    async with AsyncExitStack() as stack:
        parent = await stack.enter_async_context(plain_parent())
        node = nodes.site(tmp_path / "site", parent.url, workers=WORKERS)
        await asyncio.to_thread(node.start)
        stack.push_async_callback(asyncio.to_thread, node.kill)
        client = await stack.enter_async_context(patient_client())
        yield Crowd(parent, node, client)


def index(parent: PlainParent, tag: str) -> tuple[str, str]:
    """Its digest and that of the one image in it."""
    image = parent.add_image(f"{tag}-image", tag.encode())
    size = len(parent.manifests[str(image)][1])
    one = f'{{"mediaType":"{OCI_MANIFEST}","digest":"{image}","size":{size}}}'
    text = f'{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{one}]}}'
    return str(parent.add_manifest(tag, text.encode(), OCI_INDEX)), str(image)


def gone(*pids: int) -> bool:
    """Whether the node has seen the end of all of them."""
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def kill(*pids: int) -> None:
    """All at once: those that are stopped take over nothing from the one that is killed first."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


@pytest.mark.slow
@steady
async def test_one_cold_tag_of_an_index_is_one_head_and_one_get_a_manifest(crowd: Crowd) -> None:
    tag = next(TAGS)
    whole, image = index(crowd.parent, tag)
    crowd.parent.requests.clear()
    crowd.parent.late = 0.0
    for reference in (tag, image):
        assert await crowd.all(reference) == {200: CLIENTS}
    assert crowd.asked() == {("HEAD", tag): 1, ("GET", whole): 1, ("GET", image): 1}

    tag = next(TAGS)
    whole, image = index(crowd.parent, tag)
    crowd.parent.requests.clear()
    crowd.parent.late = 0.3
    asking = asyncio.ensure_future(crowd.all(tag))
    await eventually(lambda: ("HEAD", tag) in crowd.asked(), "the parent to be asked")
    killed = (await crowd.workers())[:2]
    kill(*killed)
    told = await asking
    assert set(told) <= {200, 0} and told[200] >= CLIENTS // 2
    await eventually(lambda: gone(*killed), "those that were killed to accept nobody any more")
    assert await crowd.all(image) == {200: CLIENTS}
    asked = crowd.asked()
    assert set(asked) == {("HEAD", tag), ("GET", whole), ("GET", image)}
    assert max(asked.values()) <= 2, "who was killed may have been the one that asked"
