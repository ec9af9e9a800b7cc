"""What a request cost the link is what is counted of it: what came of the bucket, or of another server of the site, is
no miss."""

from __future__ import annotations

import re
from itertools import count
from pathlib import Path

import aiohttp
import pytest

from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.oci.digest import Digest
from tests.clients import nodes
from tests.eventually import eventually
from tests.mesh.conftest import same
from tests.mesh.test_bucket_site import Servers, bring_to_the_bucket
from tests.mesh.test_bucket_site import servers as servers
from tests.mesh.test_siblings import brings, team
from tests.suites.bytes_of import pattern

pytestmark = pytest.mark.slow


async def counted(client: aiohttp.ClientSession, node: nodes.Node) -> dict[str, int]:
    """GETs of blobs by what they cost."""
    async with client.get(f"{node.admin}/metrics") as answer:
        text = await answer.text()
    found = re.findall(
        r'^registry_mesh_cache_total{kind="blob",.*result="(\w+)"} ([\d.]+)', text, re.MULTILINE
    )
    return {result: int(float(value)) for result, value in found if float(value)}


async def saved(client: aiohttp.ClientSession, node: nodes.Node) -> int:
    async with client.get(f"{node.admin}/status") as answer:
        cache = (await answer.json())["registries"]["registry.example"]["cache"]
    return int(cache["saved_bytes"])


async def test_what_another_server_of_the_site_brought_is_no_miss_here(tmp_path: Path) -> None:
    """On a busy machine the other server may be late, and the parent is asked: a miss, and the next blob is tried."""
    async with team(tmp_path, 2) as site:
        client, (first, second), seeds = site.client, site.servers, count()

        async def is_brought_beside() -> bool:
            data = next(
                data
                for data in (pattern(MIB, seed) for seed in seeds)
                if brings(Digest.of(data), len(site.servers)) == 1
            )
            assert same(await site.get(0, site.parent.add(data)), 200, data)
            return "sibling" in await counted(client, first)

        await eventually(is_brought_beside, "the other server to bring one", 60)

        async def told() -> bool:
            here, there = await counted(client, first), await counted(client, second)
            return (
                here.keys() <= {"sibling", "miss"}
                and await saved(client, first) == here["sibling"] * MIB
                and there.get("miss", 0) >= here["sibling"]
                and await saved(client, second) == 0
            )

        await eventually(told, "bytes that were saved here alone")


@pytest.mark.s3
async def test_what_the_bucket_had_is_no_miss(servers: Servers) -> None:
    digest, whole = await bring_to_the_bucket(servers, 6 * MIB, 2)
    assert same(await servers.get(2, f"blobs/{digest}"), 200, whole)

    async def told() -> bool:
        return await counted(servers.client, servers.nodes[2]) == {"bucket": 1}

    await eventually(told, "it to come of the bucket")
