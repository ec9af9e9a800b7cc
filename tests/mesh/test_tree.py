"""A whole tree in one process over real sockets: push, pull through the site, ranges, names, a dead origin."""

import hashlib
import json
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from registry_mesh.assembly.node.build import Node, running
from registry_mesh.config.load import parse
from registry_mesh.telemetry import names
from tests.eventually import eventually

REGISTRY = "registry.example"
LAYER = random.Random(1).randbytes(3 * (1 << 20) + 12345)
CONFIG = b'{"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}'
IMAGE = "application/vnd.oci.image.manifest.v1+json"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest_of(CONFIG),
            "size": len(CONFIG),
        },
        "layers": [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": digest_of(LAYER),
                "size": len(LAYER),
            }
        ],
    }
).encode()


def configured(folder: Path, **keys: Any) -> Any:
    whole = {
        "name": folder.name,
        "listen": {"port": 0},
        "admin": {"port": 0},
        "workers": 1,
        "store": {"disk": {"path": str(folder)}},
        **keys,
    }
    return parse(yaml.safe_dump(whole), "test.yaml").config


@dataclass
class Tree:
    origin: Node
    site: Node
    client: aiohttp.ClientSession
    stack: AsyncExitStack

    async def get(self, path: str, **headers: str) -> tuple[int, bytes, aiohttp.typedefs.LooseHeaders]:
        async with self.client.get(self.site.url + path, headers=headers) as answer:
            return answer.status, await answer.read(), answer.headers


@pytest.fixture
async def tree(tmp_path: Path) -> AsyncIterator[Tree]:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
        origin = await stack.enter_async_context(
            running(
                configured(
                    tmp_path / "origin", role="origin", registry=REGISTRY, access={"anonymous": "push"}
                )
            )
        )
        site = await stack.enter_async_context(
            running(
                configured(
                    tmp_path / "site",
                    role="site",
                    registries={
                        REGISTRY: {"default": True, "parents": [[origin.url]], "tags": {"ttl": "0s"}}
                    },
                )
            )
        )
        yield Tree(origin, site, client, stack)


@pytest.fixture
def blobs() -> Iterator[dict[str, bytes]]:
    yield {digest_of(data): data for data in (LAYER, CONFIG)}


async def push(tree: Tree, name: str = "team/app", tag: str = "1") -> None:
    base = f"{tree.origin.url}/v2/{name}"
    for data in (LAYER, CONFIG):
        async with tree.client.post(f"{base}/blobs/uploads/?digest={digest_of(data)}", data=data) as answer:
            assert answer.status == 201, await answer.text()
    async with tree.client.put(
        f"{base}/manifests/{tag}", data=MANIFEST, headers={"Content-Type": IMAGE}
    ) as answer:
        assert answer.status == 201, await answer.text()


@pytest.mark.parametrize(
    "path", ["/v2/team/app/{}", f"/v2/{REGISTRY}/team/app/{{}}", f"/v2/team/app/{{}}?ns={REGISTRY}"]
)
async def test_an_image_comes_through_the_site_by_every_way_to_name_it(tree: Tree, path: str) -> None:
    await push(tree)
    status, manifest, headers = await tree.get(path.format("manifests/1"), Accept=IMAGE)
    assert (status, manifest) == (200, MANIFEST)
    assert headers["Docker-Content-Digest"] == digest_of(MANIFEST)
    for cache in ("fwd", "hit"):
        for data in (LAYER, CONFIG):
            status, body, headers = await tree.get(path.format(f"blobs/{digest_of(data)}"))
            assert (status, body) == (200, data)
            assert cache in headers["Cache-Status"]


async def test_a_cold_range_comes_alone(tree: Tree) -> None:
    await push(tree)
    status, body, headers = await tree.get(
        f"/v2/team/app/blobs/{digest_of(LAYER)}", Range="bytes=1500000-1500099"
    )
    assert (status, body) == (206, LAYER[1500000:1500100])
    assert headers["Content-Range"] == f"bytes 1500000-1500099/{len(LAYER)}"


async def test_a_registry_that_is_not_configured_is_unknown(tree: Tree) -> None:
    status, body, _ = await tree.get("/v2/team/app/manifests/1?ns=other.example")
    assert status == 404
    assert json.loads(body)["errors"][0]["code"] == "NAME_UNKNOWN"


async def test_what_was_pulled_pulls_again_without_the_origin(tree: Tree) -> None:
    await push(tree)
    paths = ["manifests/1", f"blobs/{digest_of(LAYER)}", f"blobs/{digest_of(CONFIG)}"]
    before = [await tree.get(f"/v2/team/app/{path}") for path in paths]
    await tree.origin.close()
    after = [await tree.get(f"/v2/team/app/{path}") for path in paths]
    assert [(status, body) for status, body, _ in after] == [(status, body) for status, body, _ in before]
    status, _, headers = await tree.get("/v2/team/app/manifests/never-seen")
    assert status == 503
    assert int(headers["Retry-After"]) > 0


async def test_a_tag_that_moved_is_seen(tree: Tree) -> None:
    await push(tree)
    await tree.get("/v2/team/app/manifests/1")
    moved = json.dumps({**json.loads(MANIFEST), "annotations": {"moved": "yes"}}).encode()
    async with tree.client.put(
        f"{tree.origin.url}/v2/team/app/manifests/1", data=moved, headers={"Content-Type": IMAGE}
    ) as answer:
        assert answer.status == 201
    assert (await tree.get("/v2/team/app/manifests/1"))[1] == moved


async def test_an_origin_without_a_name_answers_to_any(tree: Tree, tmp_path: Path) -> None:
    nameless = configured(tmp_path / "nameless", role="origin", access={"anonymous": "push"})
    other = await tree.stack.enter_async_context(running(nameless))
    tree.origin = other
    await push(tree)
    for path in ("/v2/_catalog?ns=any.example", "/v2/team/app/manifests/1?ns=any.example"):
        async with tree.client.get(other.url + path) as answer:
            assert answer.status == 200, path


async def test_a_listing_of_a_registry_that_is_not_ours_is_unknown(tree: Tree) -> None:
    async with tree.client.get(f"{tree.origin.url}/v2/_catalog?ns=other.example") as answer:
        assert answer.status == 404


async def test_a_site_takes_no_pushes(tree: Tree) -> None:
    async with tree.client.post(f"{tree.site.url}/v2/team/app/blobs/uploads/") as answer:
        assert answer.status == 405
        assert (await answer.json())["errors"][0]["code"] == "UNSUPPORTED"


async def test_every_hop_is_counted_once(tree: Tree) -> None:
    await push(tree)
    for _ in range(2):
        for path in ("manifests/1", f"blobs/{digest_of(LAYER)}"):
            assert (await tree.get(f"/v2/team/app/{path}"))[0] == 200
    site, origin = tree.site.table, tree.origin.table
    await eventually(  # an answer is counted once its body has left
        lambda: site.total(names.SENT_BYTES, endpoint="blob") == 2 * len(LAYER), "the answers to be counted"
    )
    assert origin.total(names.SENT_BYTES, endpoint="blob") == len(LAYER)
    pings = origin.total(names.SENT_BYTES, endpoint="base")
    assert site.total(names.UPSTREAM_BYTES) == origin.total(names.SENT_BYTES) - pings
    assert origin.total(names.RECEIVED_BYTES) == len(LAYER) + len(CONFIG) + len(MANIFEST)
    assert site.total(names.REQUESTS, endpoint="blob", method="GET", code="2xx") == 2
    assert (site.total(names.CACHE, kind="blob", result="miss"), site.total(names.LIES)) == (1, 0)
    async with tree.client.get(f"{tree.site.admin_url}/metrics") as answer:
        text = await answer.text()
    (line,) = (
        each
        for each in text.splitlines()
        if each.startswith('registry_mesh_sent_bytes_total{endpoint="blob"}')
    )
    assert float(line.split()[1]) == 2 * len(LAYER)


async def test_the_operator_sees_the_node(tree: Tree) -> None:
    async with tree.client.get(f"{tree.site.admin_url}/readyz") as answer:
        assert answer.status == 200
    await tree.origin.close()
    async with tree.client.get(f"{tree.site.admin_url}/readyz") as answer:
        assert answer.status == 200, "a dead parent is no reason"
    async with tree.client.get(f"{tree.site.admin_url}/status") as answer:
        status = await answer.json()
    assert (status["role"], status["name"], status["ready"]) == ("site", "site", True)
    await tree.site.drain(0.1)
    async with tree.client.get(f"{tree.site.admin_url}/readyz") as answer:
        assert answer.status == 503
