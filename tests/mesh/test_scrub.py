"""Bytes rot on the disk of a running site: found and brought anew, while nobody asks for them."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_MANIFEST
from registry_mesh.stores.bucket.entry import data_key
from registry_mesh.stores.bucket.settings import S3Settings
from registry_mesh.stores.bucket.store import S3Store
from tests.clients import nodes
from tests.eventually import eventually
from tests.mesh.conftest import SiteBehindLink, same
from tests.simulators.bucket import Bucket
from tests.suites.bytes_of import pattern, read

pytestmark = pytest.mark.slow

MIB = 1 << 20

ORIGIN = {"role": "origin", "registry": nodes.REGISTRY, "access": {"anonymous": "admin"}}


def overwrite(path: Path, at: int, data: bytes) -> None:
    """As a disk does: behind everybody's back."""
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


async def scrubbed(world: SiteBehindLink) -> dict[str, Any]:
    async with world.client.get(f"{world.node.admin}/status") as answer:
        status: dict[str, Any] = await answer.json()
    return status


async def test_a_running_site_mends_what_rots(behind_link: SiteBehindLink) -> None:
    world = behind_link
    world.configure(workers=2, scrub={"rate": "1GiB/s", "every": "1s"})
    bits, cut, emptied, doubled, part = (pattern(5 * MIB + 77, seed=i) for i in range(5))
    manifest = world.parent.add_image("1", bits)
    digests = [world.parent.add(data) for data in (bits, cut, emptied, doubled, part)]
    await world.start()
    for digest, whole in zip(digests[:4], (bits, cut, emptied, doubled), strict=True):
        assert same(await world.get(world.blob(digest)), 200, whole)
    assert (await world.get(world.blob(digests[4]), (MIB, 2 * MIB)))[0] == 206
    image = f"{world.node.url}/v2/team/app/manifests/1"
    text = (await world.get(image))[1]
    store = world.node.folder / "store"

    def path(digest: Digest, place: str = "blobs") -> Path:
        return store / place / "sha256" / digest.hex[:2] / digest.hex

    def good() -> bool:
        try:
            whole = all(
                path(digest).read_bytes() == data
                for digest, data in zip(digests[:4], (bits, cut, emptied, doubled), strict=True)
            )
            with path(digests[4], "partial").open("rb") as file:
                file.seek(MIB)
                in_part = file.read(MIB) == part[MIB : 2 * MIB]
            return whole and in_part and path(manifest).read_bytes() == text
        except FileNotFoundError:
            return False

    await eventually(lambda: asyncio.to_thread(good), "all to be on the disk", seconds=60)
    counts = world.link.counts
    await eventually(lambda: len(counts.passed) == counts.requests, "all that was asked for to have come")
    world.link.reset_counts()
    overwrite(path(digests[0]), 3 * MIB, bytes([bits[3 * MIB] ^ 1]))
    os.truncate(path(digests[1]), 4 * MIB)
    os.truncate(path(digests[2]), 0)
    overwrite(path(digests[3]), 4096, doubled[:4096])
    overwrite(path(digests[4], "partial"), MIB + 9, b"rotten")
    overwrite(path(manifest), 5, b"~")

    await eventually(lambda: asyncio.to_thread(good), "all to be good again", seconds=60)
    assert world.moved <= 9 * MIB, "what was good has not been fetched again"
    # what is told is told a moment later
    status = await eventually(
        lambda: scrubbed(world),
        "the repairs to be told",
        pause=0.05,
        until=lambda said: (
            said["counters"].get("repaired_total", 0) >= 6
            and said["counters"]["scrubbed_bytes_total"] > 20 * MIB
            and said["scrub"]["age_seconds"] is not None
        ),
    )
    assert status["counters"]["rotten_total"] >= 6
    for digest, whole in zip(digests[:4], (bits, cut, emptied, doubled), strict=True):
        assert same(await world.get(world.blob(digest)), 200, whole)


async def test_without_parents_what_has_rotted_is_not_served(behind_link: SiteBehindLink) -> None:
    world = behind_link
    world.configure(workers=2, scrub={"rate": "1GiB/s", "every": "1s"})
    whole = pattern(5 * MIB)
    digest = world.parent.add(whole)
    await world.start()
    assert same(await world.get(world.blob(digest)), 200, whole)
    path = world.node.folder / "store" / "blobs" / "sha256" / digest.hex[:2] / digest.hex
    await eventually(path.exists, "it to be on the disk")
    world.link.conditions.refuse = True
    overwrite(path, 3 * MIB, b"rotten")
    await eventually(
        lambda: scrubbed(world),
        "the rot to be told",
        seconds=60,
        pause=0.05,
        until=lambda said: said["counters"].get("rotten_total", 0),
    )
    assert same(await world.get(world.blob(digest), (0, MIB)), 206, whole[:MIB])
    world.link.conditions.refuse = False
    await eventually(
        lambda: world.get(world.blob(digest), (3 * MIB, 4 * MIB)),
        "the range to be brought again",
        seconds=60,
        pause=0.05,
        until=lambda answer: answer[0] == 206,
    )
    assert same(await world.get(world.blob(digest)), 200, whole)


async def test_an_origin_is_mended_from_the_child_that_it_names(tmp_path: Path) -> None:
    """A layer and a manifest, and a blob that nobody has: that one is put aside and told of."""
    origin = nodes.origin(tmp_path / "origin", workers=1)
    site = nodes.site(tmp_path / "site", origin.url, workers=1)
    origin.change({**ORIGIN, "scrub": {"rate": "1GiB/s", "every": "1s", "children": [site.url]}})
    layer, lost = pattern(3 * MIB + 77, seed=8), pattern(MIB, seed=9)
    async with aiohttp.ClientSession() as client:
        try:
            await begin(origin, site)
            team = f"{origin.url}/v2/team/app"
            for data in (layer, lost):
                async with client.post(
                    f"{team}/blobs/uploads/?digest={Digest.of(data)}", data=data
                ) as answer:
                    assert answer.status == 201
            text = image_of(layer)
            async with client.put(
                f"{team}/manifests/1", data=text, headers={"Content-Type": OCI_MANIFEST}
            ) as answer:
                assert answer.status == 201, await answer.text()
            for path, whole in ((f"blobs/{Digest.of(layer)}", layer), ("manifests/1", text)):
                async with client.get(f"{site.url}/v2/team/app/{path}") as answer:
                    assert await answer.read() == whole
            for data, at in ((layer, 2 * MIB), (text, 5), (lost, 9)):
                overwrite(stored(origin, data), at, bytes([data[at] ^ 1]))

            def mended() -> bool:
                there = [stored(origin, data) for data in (layer, text)]
                return all(
                    p.exists() and p.read_bytes() == d for p, d in zip(there, (layer, text), strict=True)
                )

            await eventually(
                lambda: asyncio.to_thread(mended), "what has rotted to be brought back", seconds=60
            )
            await eventually(
                lambda: told(client, origin),
                "it to be told",
                until=lambda said: said.get("repaired_total", 0) >= 2 and said["rotten_total"] >= 3,
            )
            async with client.get(f"{team}/blobs/{Digest.of(lost)}") as answer:
                assert answer.status == 404, "it is put aside, and never served"
            await eventually(  # its child is asked for it after it is counted
                lambda: '"repaired": false' in origin.log.read_text(), "the log to name what is lost"
            )
        finally:
            await asyncio.gather(*(asyncio.to_thread(node.kill) for node in (origin, site)))


@pytest.mark.s3
async def test_an_origin_on_a_bucket_is_mended_from_its_child(
    tmp_path: Path, bucket: Bucket, s3_settings: S3Settings, s3_store: S3Store
) -> None:
    origin = nodes.origin(tmp_path / "origin", workers=1)
    origin.environment = bucket.keys
    site = nodes.site(tmp_path / "site", origin.url, workers=1)
    care = {"per_day": "100TiB", "every": "1s", "children": [site.url]}
    origin.change({**ORIGIN, "scrub": care, "store": in_bucket(s3_settings)})
    layer = pattern(3 * MIB + 77, seed=8)
    digest = Digest.of(layer)
    async with aiohttp.ClientSession() as client:
        try:
            await begin(origin, site)
            team = f"{origin.url}/v2/team/app/blobs"
            async with client.post(f"{team}/uploads/?digest={digest}", data=layer) as answer:
                assert answer.status == 201
            async with client.get(f"{site.url}/v2/team/app/blobs/{digest}") as answer:
                assert await answer.read() == layer
            await is_mended_by(origin, client, s3_store, layer)
        finally:
            await asyncio.gather(*(asyncio.to_thread(node.kill) for node in (origin, site)))


@pytest.mark.s3
async def test_a_replica_on_a_bucket_is_mended_from_its_parent(
    tmp_path: Path, bucket: Bucket, s3_settings: S3Settings, s3_store: S3Store
) -> None:
    origin = nodes.origin(tmp_path / "origin", workers=1)
    care = {"per_day": "100TiB", "every": "1s"}
    replica = nodes.replica(
        tmp_path / "replica", origin.url, workers=1, scrub=care, store=in_bucket(s3_settings)
    )
    replica.environment = bucket.keys
    layer = pattern(3 * MIB + 77, seed=8)
    digest, text = Digest.of(layer), image_of(layer)
    async with aiohttp.ClientSession() as client:
        try:
            await asyncio.to_thread(origin.start)
            team = f"{origin.url}/v2/team/app"
            async with client.post(f"{team}/blobs/uploads/?digest={digest}", data=layer) as answer:
                assert answer.status == 201
            headers = {"Content-Type": OCI_MANIFEST}
            async with client.put(f"{team}/manifests/1", data=text, headers=headers) as answer:
                assert answer.status == 201, await answer.text()
            await asyncio.to_thread(replica.start)

            async def copied() -> bool:
                async with client.get(f"{replica.url}/v2/team/app/manifests/1") as answer:
                    return answer.status == 200

            await eventually(copied, "the image to be copied", seconds=60)
            await is_mended_by(replica, client, s3_store, layer)
        finally:
            await asyncio.gather(*(asyncio.to_thread(node.kill) for node in (origin, replica)))


async def is_mended_by(node: nodes.Node, client: aiohttp.ClientSession, store: S3Store, layer: bytes) -> None:
    """A byte of it rots in the bucket, and is right again, once."""
    digest = Digest.of(layer)
    name = (await store.look(digest)).entry.name
    await store.client.put(data_key(name), layer[:-1] + b"?")
    counters = await eventually(
        lambda: told(client, node),
        "it to be mended",
        seconds=60,
        until=lambda said: said.get("repaired_total", 0) >= 1 and said.get("rotten_total", 0) >= 1,
    )
    assert counters["rotten_total"] == counters["repaired_total"] == 1
    store.unlearn(digest)
    assert await read(store, digest) == layer


async def begin(*above_first: nodes.Node) -> None:
    """One after the other: who asks a parent that does not listen yet takes it for lost for a while."""
    for node in above_first:
        await asyncio.to_thread(node.start)


async def told(client: aiohttp.ClientSession, node: nodes.Node) -> dict[str, float]:
    async with client.get(f"{node.admin}/status") as answer:
        counters: dict[str, float] = (await answer.json())["counters"]
    return counters


def in_bucket(settings: S3Settings) -> dict[str, Any]:
    """A node's store, where the test's own looks too."""
    names = ("bucket", "endpoint", "region", "prefix")
    return {"s3": {name: getattr(settings, name) for name in names}}


def stored(node: nodes.Node, data: bytes) -> Path:
    digest = Digest.of(data)
    return node.folder / "store" / "blobs" / "sha256" / digest.hex[:2] / digest.hex


def image_of(layer: bytes) -> bytes:
    """A manifest with no other blob than that."""
    named = {"mediaType": "application/octet-stream", "digest": str(Digest.of(layer)), "size": len(layer)}
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": named, "layers": [named]}
    return json.dumps(document).encode()
