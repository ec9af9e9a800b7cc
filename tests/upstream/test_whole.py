"""Documents whose answer breaks off, and heads with more fields than anybody needs."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_INDEX
from registry_mesh.oci.reference import Tag
from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.ports.repositories import EVERY, Repository
from tests.simulators.registry import SimulatedRegistry

INDEX = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).encode()
NAMED = Digest.of(INDEX)
TAGS = b'{"name": "team/app", "tags": ["a", "b"]}'
Ask = Callable[[Repository], Awaitable[object]]


async def by_digest(app: Repository) -> object:
    return (await app.manifests.manifest(NAMED)).manifest.data


async def by_tag(app: Repository) -> object:
    return (await app.tags.resolve(Tag("one"))).descriptor.digest


async def listed(app: Repository) -> object:
    return (await app.tags.tags(EVERY)).tags


DOCUMENTS = [
    (f"manifests/{NAMED}", INDEX, by_digest, INDEX),
    ("manifests/one", INDEX, by_tag, NAMED),
    ("tags/list", TAGS, listed, ("a", "b")),
]


def breaks(parent: SimulatedRegistry, path: str, body: bytes, times: int) -> None:
    """Have the first `times` answers to GET break off. HEAD is refused."""
    left = times

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal left
        if request.method == "HEAD":
            return web.Response(status=405)
        left -= 1
        if left < 0:
            return web.Response(body=body, content_type=OCI_INDEX)
        response = web.StreamResponse(headers={"Content-Length": str(len(body))})
        await response.prepare(request)
        await response.write(body[:9])
        assert request.transport is not None
        request.transport.close()
        return response

    parent.answers[f"/v2/team/app/{path}"] = answer


@pytest.mark.parametrize(("path", "body", "ask", "right"), DOCUMENTS)
async def test_a_document_that_broke_off_is_asked_for_once_more(
    parent: SimulatedRegistry, app: Repository, path: str, body: bytes, ask: Ask, right: object
) -> None:
    breaks(parent, path, body, times=1)
    assert await ask(app) == right


@pytest.mark.parametrize(("path", "body", "ask", "right"), DOCUMENTS)
async def test_it_is_not_asked_for_a_third_time(
    parent: SimulatedRegistry, app: Repository, path: str, body: bytes, ask: Ask, right: object
) -> None:
    breaks(parent, path, body, times=9)
    with pytest.raises(SourceUnavailable, match="broke off"):
        await ask(app)
    assert [method for method, _, _ in parent.asked].count("GET") == 2


async def test_a_head_may_have_hundreds_of_fields(parent: SimulatedRegistry, app: Repository) -> None:
    parent.says("/v2/team/app/tags/list", body=TAGS, headers={f"X-{i}": "y" for i in range(500)})
    assert await listed(app) == ("a", "b")
