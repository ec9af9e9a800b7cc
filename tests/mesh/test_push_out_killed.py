"""kill -9 of a process that pushes out: how much the next one sends again, to registries in processes of their own."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_MANIFEST
from registry_mesh.upstream.pushes.upload import CHUNK
from tests.clients import registries
from tests.simulators.cloud import CLOUD
from tests.simulators.images import HOST, Content, random_bytes
from tests.simulators.origin_node import origin_document
from tests.simulators.ports import free_port
from tests.simulators.replica_tree import ReplicaTree, replica_tree
from tests.simulators.uphill import Uphill, uphill

MIB = 1 << 20
LAYERS = 3
"""Each goes by a stream of its own."""
SIZE = 20 * MIB + 17
HEADS = MIB // 4
"""What requests and manifests weigh in all, at most."""


@contextmanager
def own_origin(folder: Path) -> Iterator[str]:
    """One of ours, as a process."""
    folder.mkdir()
    port = free_port()
    document = origin_document("cloud", folder / "store", str(CLOUD), port)
    (folder / "origin.yaml").write_text(json.dumps(document))
    command = [sys.executable, "-m", "registry_mesh", "serve", str(folder / "origin.yaml")]
    with registries.serving(command, folder, port) as url:
        yield url


KINDS: dict[str, Callable[[Path], AbstractContextManager[str]]] = {
    "docker-registry": registries.docker_registry,
    "origin": own_origin,
}


@asynccontextmanager
async def pushing(kind: str, directory: Path) -> AsyncIterator[tuple[ReplicaTree, Uphill, str]]:
    """A replica that pushes `a` out to a registry of that kind, over a relay that counts."""
    with KINDS[kind](directory / "cloud") as there:
        async with uphill(urlsplit(there).port or 0) as way, replica_tree(directory) as tree:
            (directory / "rules").mkdir()
            rule = f"{{from: {HOST}, repos: a, tags: v1, to: {{registry: {CLOUD}, name: t/a}}}}"
            (directory / "rules" / "r.yaml").write_text(f"schema: registry-mesh/rules/2\nrules: [{rule}]\n")
            tree.replica_config(more_registries={CLOUD: {"parents": [[way.url]], "push": True}})
            yield tree, way, there


@pytest.mark.parametrize(
    ("kind", "at", "most"),
    [
        ("origin", 13 * MIB, LAYERS * CHUNK),
        ("origin", 40 * MIB, LAYERS * CHUNK),
        # where it holds more than it answered for, it takes nothing more of an upload, and all of it comes again
        ("docker-registry", 40 * MIB, LAYERS * SIZE),
    ],
)
async def test_at_most_a_chunk_of_each_stream_is_sent_again_where_the_registry_goes_on_with_an_upload(
    kind: str, at: int, most: int, tmp_path: Path
) -> None:
    async with pushing(kind, tmp_path) as (tree, way, there):
        content = Content()
        layers = [random_bytes(f"layer {number}", SIZE) for number in range(LAYERS)]
        image = content.image("large", "v1", layers=layers)
        await tree.push("a", content)
        way.rate, way.mark = 24.0 * MIB, at
        process = await tree.start("--once")
        await way.reached.wait()
        process.kill()
        await process.wait()
        assert way.sent < LAYERS * SIZE
        way.rate, killed_at = None, way.sent
        exit_code, _, errors = await tree.replicate()
        assert exit_code == 0, errors
        again = way.sent - sum(blob.size for blob in image.blobs())
        print(f"{kind}: killed after {killed_at / MIB:.1f} MiB, {again / MIB:.2f} MiB sent again")
        assert again <= most + HEADS
        url = f"{there}/v2/t/a"
        async with aiohttp.ClientSession() as client:
            async with client.get(f"{url}/manifests/v1", headers={"Accept": OCI_MANIFEST}) as answer:
                assert Digest.of(await answer.read()) == image.digest
            for layer in layers:
                async with client.get(f"{url}/blobs/{Digest.of(layer)}") as answer:
                    assert await answer.read() == layer
