"""What a request cost the link is what is counted of it: what came of the bucket, or of another server of the site, is
no miss."""

from __future__ import annotations

import re
from pathlib import Path

import aiohttp
import pytest

from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.chunks.rendezvous import SEGMENT
from registry_mesh.oci.digest import Digest
from tests.clients import nodes
from tests.eventually import eventually
from tests.mesh.conftest import same
from tests.mesh.test_bucket_site import Servers, bring_to_the_bucket
from tests.mesh.test_bucket_site import servers as servers
from tests.mesh.test_siblings import Team, brings, team
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


def brought_by(site: Team, server: int, size: int) -> Digest:
    """A new blob of the parent's that this server is to bring."""
    seed = 0
    while brings(Digest.of(pattern(size, seed)), len(site.servers)) != server:
        seed += 1
    return site.parent.add(pattern(size, seed))


async def test_what_another_server_of_the_site_brought_is_no_miss_here(tmp_path: Path) -> None:
    async with team(tmp_path, 2) as site:
        theirs, ours = brought_by(site, 1, 3 * MIB), brought_by(site, 0, MIB)
        client, (first, second) = site.client, site.servers
        for digest in (theirs, ours):
            assert same(await site.get(0, digest), 200, site.parent.blobs[str(digest)])

        async def told() -> bool:
            return (
                await counted(client, first) == {"sibling": 1, "miss": 1}
                and await counted(client, second) == {"miss": 1}
                and (await saved(client, first), await saved(client, second)) == (3 * MIB, 0)
            )

        await eventually(told, "one of each, and the other server's miss")


async def test_what_a_parent_gave_some_of_is_a_miss(tmp_path: Path) -> None:
    async with team(tmp_path, 2) as site:
        data = next(
            data
            for data in (pattern(SEGMENT + MIB, seed) for seed in range(40))
            if (brings(Digest.of(data), 2), brings(Digest.of(data), 2, SEGMENT)) == (1, 0)
        )
        digest, span = site.parent.add(data), (SEGMENT - MIB, SEGMENT + MIB)
        assert await site.get(0, digest, span) == (206, data[slice(*span)])

        seen: list[dict[str, int]] = []

        async def told() -> bool:
            seen[:] = [await counted(site.client, each) for each in site.servers]
            return seen == [{"miss": 1}, {"miss": 1}]

        await eventually(told, lambda: seen)


@pytest.mark.s3
async def test_what_the_bucket_had_is_no_miss(servers: Servers) -> None:
    digest, whole = await bring_to_the_bucket(servers, 6 * MIB, 2)
    assert same(await servers.get(2, f"blobs/{digest}"), 200, whole)

    async def told() -> bool:
        return await counted(servers.client, servers.nodes[2]) == {"bucket": 1}

    await eventually(told, "it to come of the bucket")
