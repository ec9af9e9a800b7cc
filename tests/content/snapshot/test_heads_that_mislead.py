"""A source whose HEAD names digests that it does not have."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.failover_registry import FailoverRegistry
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_MANIFEST
from registry_mesh.oci.reference import RepositoryName
from registry_mesh.ports.repositories import Repository
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession
from tests.simulators.images import HOST
from tests.simulators.registry import SimulatedRegistry, simulated_registry
from tests.simulators.replica import Replica, rule

TAGS = ("1", "2", "3")


@dataclass
class Over:
    """The source of a replica, over HTTP."""

    registry: FailoverRegistry
    asked: list[str] = field(default_factory=list)
    sent: int = 0

    def repository(self, name: RepositoryName) -> Repository:
        return self.registry.repository(name)


def offer(source: SimulatedRegistry, tag: str, misleads: bool) -> None:
    """An image by `tag` and by digest; HEAD of the tag names another, which is not there, where it `misleads`."""
    config = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": str(Digest.of(b"{}")),
        "size": 2,
    }
    image = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config,
        "layers": [],
        "annotations": {"is": tag},
    }
    body = json.dumps(image).encode()
    digest, other = Digest.of(body), Digest.of(body + b" ")

    async def answer(request: web.Request) -> web.StreamResponse:
        named = other if misleads and request.method == "HEAD" else digest
        return web.Response(
            body=body, headers={"Content-Type": OCI_MANIFEST, "Docker-Content-Digest": str(named)}
        )

    source.answers[f"/v2/a/manifests/{tag}"] = source.answers[f"/v2/a/manifests/{digest}"] = answer


@pytest.fixture
async def source() -> AsyncIterator[SimulatedRegistry]:
    async with simulated_registry() as made:
        made.says("/v2/", body=b"{}")
        made.says(f"/v2/a/blobs/{Digest.of(b'{}')}", body=b"{}")
        listed = json.dumps({"name": "a", "tags": TAGS}).encode()
        made.says("/v2/a/tags/list", body=listed, content_type="application/json")
        yield made


async def copied(source: SimulatedRegistry) -> tuple[list[str], Any]:
    """Names of the tags that one run brings, and what it has to say."""
    replica = Replica(rule("a"))
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(open_session())
        session = ParentSession(client, source.url, ns="never")
        stack.push_async_callback(session.close)
        over = FailoverRegistry(HOST, [[UpstreamRegistry(session, HOST)]], Distrusted())
        replica.source = Over(over)  # type: ignore[assignment]
        outcome = await replica.run()
    return sorted(await replica.tags("a")), [each.what for each in outcome.troubles]


async def test_of_one_tag_that_one_alone_fails(source: SimulatedRegistry) -> None:
    for tag in TAGS:
        offer(source, tag, misleads=tag == "2")
    assert await copied(source) == (["1", "3"], [f"{HOST}/a:2"])


async def test_of_all_tags_get_tells_within_the_same_run(source: SimulatedRegistry) -> None:
    for tag in TAGS:
        offer(source, tag, misleads=True)
    assert await copied(source) == (["1", "2", "3"], [])


async def test_of_all_tags_one_of_which_is_not_there_that_one_alone_fails(source: SimulatedRegistry) -> None:
    for tag in TAGS:
        offer(source, tag, misleads=True)
    gone = source.answers["/v2/a/manifests/2"]

    async def refused(request: web.Request) -> web.StreamResponse:
        return web.Response(status=500) if request.method == "GET" else await gone(request)

    source.answers["/v2/a/manifests/2"] = refused
    assert await copied(source) == (["1", "3"], [f"{HOST}/a:2"])
