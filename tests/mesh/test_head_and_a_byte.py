"""Parents that answer with a head and one byte, and send no more: what is not held is a clear 503."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.content.fill.retries import TRIES
from registry_mesh.oci.digest import Digest
from tests.clients import nodes
from tests.simulators.bare import listening
from tests.simulators.slow import SlowRegistry

pytestmark = pytest.mark.slow

FOREVER = 3600.0
SMALL, LARGE = b"a config", bytes(3 * MIB)
NAMED = b"{}"


@pytest.mark.parametrize("count", [1, 2])
async def test_each_is_asked_again_once_and_then_it_is_a_503(count: int, tmp_path: Path) -> None:
    """Not again and again for a minute, as each stream brings a byte."""
    async with AsyncExitStack() as stack:
        blobs = {str(Digest.of(data)): data for data in (SMALL, LARGE)}
        parents = [
            await stack.enter_async_context(
                listening(SlowRegistry(NAMED, blobs=blobs, step=1, pause=FOREVER))
            )
            for _ in range(count)
        ]
        client = await stack.enter_async_context(aiohttp.ClientSession())
        node = nodes.site(tmp_path / "site", *(each.url for each in parents))
        stack.push_async_callback(asyncio.to_thread, node.kill)
        await asyncio.to_thread(node.start)

        async def asked(method: str, path: str) -> tuple[int, bool]:
            async with client.request(method, f"{node.url}/v2/team/app/{path}") as answer:
                await answer.read()
                return answer.status, "Retry-After" in answer.headers

        paths = [*(f"blobs/{digest}" for digest in blobs), "manifests/1", f"manifests/{Digest.of(NAMED)}"]
        answers = await asyncio.gather(*(asked("GET", path) for path in paths))
        assert answers == [(503, True)] * len(paths)
        assert sum(each.asked for each in parents) <= len(paths) * (2 if count == 1 else TRIES)
