"""A tree over buckets: an origin without a disk, and two sites that share one bucket."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from registry_mesh.assembly.node.build import Node, running
from registry_mesh.oci.digest import Digest
from registry_mesh.stores.bucket.cache import S3CacheStore
from tests.eventually import eventually
from tests.mesh.test_tree import CONFIG, IMAGE, LAYER, MANIFEST, REGISTRY, configured, digest_of
from tests.simulators.bucket import Bucket

pytestmark = pytest.mark.s3


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session


@pytest.fixture
def store(bucket: Bucket, bucket_keys: None) -> dict[str, Any]:
    return {
        "bucket": bucket.name,
        "endpoint": bucket.endpoint,
        "region": bucket.region,
        "prefix": bucket.prefix(),
    }


async def origin_on(stack: AsyncExitStack, folder: Path, s3: dict[str, Any]) -> Node:
    config = configured(
        folder, role="origin", registry=REGISTRY, access={"anonymous": "push"}, store={"s3": s3}
    )
    return await stack.enter_async_context(running(config))


async def site_on(stack: AsyncExitStack, folder: Path, s3: dict[str, Any], parent: Node) -> Node:
    spooled = {**s3, "prefix": s3["prefix"] + "sites/", "spool": {"path": str(folder)}}
    registries = {REGISTRY: {"default": True, "parents": [[parent.url]], "tags": {"ttl": "1h"}}}
    config = configured(folder, role="site", registries=registries, store={"s3": spooled})
    return await stack.enter_async_context(running(config))


async def push(client: aiohttp.ClientSession, hosts: list[Node], name: str = "team/app") -> None:
    """In chunks, each to the next of the hosts; then the manifest."""
    for data in (LAYER, CONFIG):
        async with client.post(f"{hosts[0].url}/v2/{name}/blobs/uploads/") as answer:
            assert answer.status == 202, await answer.text()
            location = answer.headers["Location"].removeprefix(hosts[0].url)
        for turn, start in enumerate(range(0, len(data), 1_000_000)):
            chunk = data[start : start + 1_000_000]
            headers = {"Content-Range": f"{start}-{start + len(chunk) - 1}"}
            host = hosts[turn % len(hosts)]
            async with client.patch(host.url + location, data=chunk, headers=headers) as answer:
                assert answer.status == 202, await answer.text()
                location = answer.headers["Location"].removeprefix(host.url)
        mark = "&" if "?" in location else "?"
        async with client.put(hosts[-1].url + f"{location}{mark}digest={digest_of(data)}") as answer:
            assert answer.status == 201, await answer.text()
    url = f"{hosts[0].url}/v2/{name}/manifests/1"
    async with client.put(url, data=MANIFEST, headers={"Content-Type": IMAGE}) as answer:
        assert answer.status == 201, await answer.text()


async def pull(client: aiohttp.ClientSession, node: Node, name: str = "team/app") -> None:
    base = f"{node.url}/v2/{name}"
    async with client.get(f"{base}/manifests/1", headers={"Accept": IMAGE}) as answer:
        assert (answer.status, await answer.read()) == (200, MANIFEST)
    for data in (LAYER, CONFIG):
        async with client.get(f"{base}/blobs/{digest_of(data)}") as answer:
            assert (answer.status, await answer.read()) == (200, data)
    headers = {"Range": "bytes=1500000-1500099"}
    async with client.get(f"{base}/blobs/{digest_of(LAYER)}", headers=headers) as answer:
        assert (answer.status, await answer.read()) == (206, LAYER[1500000:1500100])


async def sent(site: Node) -> None:
    """Until the bucket has what the site pulled."""
    storage = site.keeper.storage
    assert storage is not None
    store = storage.blobs
    assert isinstance(store, S3CacheStore)
    for data in (LAYER, CONFIG, MANIFEST):
        await eventually(partial(store.bucket.has, Digest.of(data)), "what was sent")


async def test_two_hosts_of_an_origin_take_one_push(
    client: aiohttp.ClientSession, store: dict[str, Any], tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        hosts = [await origin_on(stack, tmp_path / name, store) for name in ("one", "two")]
        await push(client, hosts)
        for host in hosts:
            await pull(client, host)


async def test_an_origin_sends_clients_to_the_bucket(
    client: aiohttp.ClientSession, store: dict[str, Any], tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        origin = await origin_on(stack, tmp_path / "origin", {**store, "redirect": "blobs"})
        await push(client, [origin])
        await pull(client, origin)
        url = f"{origin.url}/v2/team/app/blobs/{digest_of(LAYER)}"
        async with client.get(url, allow_redirects=False) as answer:
            assert answer.status == 307
            assert answer.headers["Location"].startswith(store["endpoint"])


async def test_what_one_site_brought_the_other_has(
    client: aiohttp.ClientSession, store: dict[str, Any], tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        async with AsyncExitStack() as origins:
            origin = await origin_on(origins, tmp_path / "origin", store)
            await push(client, [origin])
            first = await site_on(stack, tmp_path / "first", store, origin)
            await pull(client, first)
            await sent(first)
        second = await site_on(stack, tmp_path / "second", store, origin)  # whose parent is dead
        await pull(client, second)
