"""Parents whose answers to HEAD say nothing, or something wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_MANIFEST
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.oci.refusals import ManifestUnknown
from registry_mesh.ports.failures import (
    Failure,
    SourceDenied,
    SourceDown,
    SourceErred,
    SourceLied,
    SourceRefused,
    SourceThrottled,
    SourceUnavailable,
    SourceUnreadable,
)
from registry_mesh.ports.repositories import Repository
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.heads import DOUBT, PASSING, PATIENCE, Asked, Heads, leaves_it_to_get
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession
from registry_mesh.upstream.way import Way
from tests.simulators.registry import Answer, SimulatedRegistry
from tests.simulators.upstream import PATIENT

MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": None}).encode()
NAMED = Digest.of(MANIFEST)
ITSELF = Descriptor(OCI_MANIFEST, NAMED, len(MANIFEST))
PATH = "/v2/team/app/manifests/1"
FULL = {"Content-Type": OCI_MANIFEST, "Docker-Content-Digest": str(NAMED)}
USELESS: dict[str, dict[str, Any]] = {
    **{
        str(status): {"status": status}
        for status in (400, 401, 403, 404, 405, 406, 408, 500, 501, 502, 503, 504)
    },
    "a redirect to nowhere": {"status": 302},
    "a redirect to itself": {"status": 307, "headers": {"Location": PATH}},
    "no length": {"headers": FULL | {"Content-Length": "0"}},
    "a page": {"body": MANIFEST, "headers": FULL | {"Content-Type": "text/html"}},
    "no type": {"body": MANIFEST, "headers": FULL | {"Content-Type": "application/octet-stream"}},
    "no digest": {"body": MANIFEST, "headers": {"Content-Type": OCI_MANIFEST}},
    "bad digest": {"body": MANIFEST, "headers": FULL | {"Docker-Content-Digest": "blake3:00"}},
}


def by_method(head: Mapping[str, Any], get: Mapping[str, Any]) -> Answer:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(**(head if request.method == "HEAD" else get))

    return answer


def methods(parent: SimulatedRegistry) -> list[str]:
    return [method for method, path, _ in parent.asked if path.startswith("/v2/team")]


@pytest.mark.parametrize("head", USELESS.values(), ids=USELESS)
async def test_one_get_decides_and_is_remembered(
    parent: SimulatedRegistry, app: Repository, head: dict[str, Any]
) -> None:
    parent.answers[PATH] = by_method(head, {"body": MANIFEST, "headers": FULL})
    resolved = await app.tags.resolve(Tag("1"))
    assert resolved.descriptor == ITSELF
    assert resolved.manifest is not None
    assert (await app.tags.resolve(Tag("1"))).descriptor == ITSELF
    asked = methods(parent)
    assert asked[-2:] == ["GET", "GET"] and set(asked[:-2]) == {"HEAD"}


async def test_a_redirect_that_is_signed_for_get_alone_is_followed_by_get(
    parent: SimulatedRegistry, app: Repository
) -> None:
    for status in (403, 400, 405, 501):
        parent.says(PATH, status=307, headers={"Location": "/signed"})
        parent.answers["/signed"] = by_method({"status": status}, {"body": MANIFEST, "headers": FULL})
        assert (await app.tags.resolve(Tag("1"))).descriptor == ITSELF


async def test_what_get_says_no_to_is_not_remembered(parent: SimulatedRegistry, app: Repository) -> None:
    with pytest.raises(ManifestUnknown):
        await app.tags.resolve(Tag("1"))
    parent.says(PATH, status=403)
    with pytest.raises(SourceDenied):
        await app.tags.resolve(Tag("1"))
    parent.says(PATH, body=MANIFEST, headers=FULL)
    assert (await app.tags.resolve(Tag("1"))).descriptor == ITSELF
    assert methods(parent) == ["HEAD", "GET", "HEAD", "GET", "HEAD"]


async def test_a_known_tag_is_confirmed_by_get_as_well(parent: SimulatedRegistry, app: Repository) -> None:
    parent.answers[PATH] = by_method({"status": 405}, {"body": MANIFEST, "headers": FULL})
    await app.tags.resolve(Tag("1"))
    parent.says(PATH, status=304)
    assert (await app.tags.resolve(Tag("1"), ITSELF)).descriptor == ITSELF
    assert parent.asked[-1][2]["If-None-Match"] == f'"{NAMED}"'


@pytest.mark.parametrize("page", ["<html></html>", '{"errors": []}', "{}", '{"note": "back soon"}'])
@pytest.mark.parametrize("media_type", ["text/html", "application/json", OCI_MANIFEST])
async def test_a_page_is_never_what_a_tag_points_at(
    parent: SimulatedRegistry, app: Repository, page: str, media_type: str
) -> None:
    parent.answers[PATH] = by_method({"status": 405}, {"text": page, "content_type": media_type})
    with pytest.raises(SourceUnreadable, match="no manifest"):
        await app.tags.resolve(Tag("1"))


NOTE = b'{"schemaVersion": 2, "mediaType": "application/vnd.acme.note+json", "x": "back at noon"}'
OF_NOTE = {"Docker-Content-Digest": str(Digest.of(NOTE)), "Content-Type": "application/vnd.acme.note+json"}


@pytest.mark.parametrize("by_digest", [None, b"{}", NOTE], ids=["nothing", "another", "itself"])
@pytest.mark.parametrize("digest", [True, False], ids=["with its digest", "without"])
@pytest.mark.parametrize("head", [{"status": 405}, {"body": NOTE, "headers": OF_NOTE}], ids=["GET", "HEAD"])
async def test_a_document_of_an_unknown_kind_is_a_manifest_where_it_is_there_by_its_digest(
    parent: SimulatedRegistry, app: Repository, by_digest: bytes | None, digest: bool, head: dict[str, Any]
) -> None:
    told = {"headers": OF_NOTE if digest else {"Content-Type": OF_NOTE["Content-Type"]}}
    parent.answers[PATH] = by_method(head, {"body": NOTE, **told})
    if by_digest is not None:
        parent.says(PATH.replace("/1", f"/{Digest.of(NOTE)}"), body=by_digest)
    if digest and by_digest == NOTE:
        assert (await app.tags.resolve(Tag("1"))).descriptor.digest == Digest.of(NOTE)
    else:
        with pytest.raises(SourceUnreadable, match="no manifest"):
            await app.tags.resolve(Tag("1"))


@pytest.mark.parametrize("body", [b"_" + MANIFEST[1:], MANIFEST[:-1] + b"_", b"<html></html>"])
async def test_what_is_said_to_have_the_digest_and_has_not_is_wrong_and_else_no_answer(
    parent: SimulatedRegistry, app: Repository, body: bytes
) -> None:
    path = PATH.replace("/1", f"/{NAMED}")
    parent.says(path, body=body, headers=FULL)
    with pytest.raises(SourceLied, match="does not have its digest"):
        await app.manifests.manifest(NAMED)
    parent.says(path, body=body, headers={"Content-Type": OCI_MANIFEST})
    with pytest.raises(SourceUnreadable, match="no manifest"):
        await app.manifests.manifest(NAMED)


async def test_what_a_parent_says_to_everything_is_no_manifest(
    parent: SimulatedRegistry, app: Repository
) -> None:
    for each in ("1", Digest.of(NOTE), Digest.of(b"not " + NOTE)):
        parent.says(PATH.replace("/1", f"/{each}"), body=NOTE, headers=OF_NOTE)
    with pytest.raises(SourceUnreadable, match="no manifest"):
        await app.tags.resolve(Tag("1"))


async def test_other_bytes_than_the_digest_beside_them_are_refused(
    parent: SimulatedRegistry, app: Repository
) -> None:
    other = FULL | {"Docker-Content-Digest": str(Digest.of(b"other"))}
    parent.answers[PATH] = by_method({"status": 405}, {"body": MANIFEST, "headers": other})
    with pytest.raises(SourceLied, match="Docker-Content-Digest"):
        await app.tags.resolve(Tag("1"))


async def test_head_and_get_that_hang_take_no_longer_than_one(parent: SimulatedRegistry) -> None:
    """A client is told within the seconds that one answer may take."""

    async def hangs(request: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        return web.Response()

    blob = Digest.of(b"blob")
    parent.answers[PATH] = parent.answers[f"/v2/team/app/blobs/{blob}"] = hangs
    parent.says("/v2/")
    async with open_session(Way(hosts=frozenset({"127.0.0.1"}))) as client:
        session = ParentSession(client, parent.url, None, replace(PATIENT, suspect=0.1, head=PATIENCE))
        app = UpstreamRegistry(session, RegistryName("registry.example")).repository(
            RepositoryName("team/app")
        )
        for ask in (app.tags.resolve(Tag("1")), app.blobs.stat(blob)):
            with pytest.raises(SourceUnavailable, match=f"no answer for {PATIENCE - 1} s"):
                await ask
    assert methods(parent) == ["HEAD", "GET"] * 2


async def test_head_that_hangs_leaves_it_to_get(parent: SimulatedRegistry) -> None:
    """And is not waited for again."""

    async def answer(request: web.Request) -> web.Response:
        if request.method == "HEAD":
            await asyncio.sleep(3600)
        return web.Response(body=MANIFEST, headers=FULL)

    parent.answers[PATH] = answer
    parent.says("/v2/")
    async with open_session(Way(hosts=frozenset({"127.0.0.1"}))) as client:
        session = ParentSession(client, parent.url, None, replace(PATIENT, suspect=0.1, head=2 * PATIENCE))
        app = UpstreamRegistry(session, RegistryName("registry.example")).repository(
            RepositoryName("team/app")
        )
        for _ in range(2):
            assert (await app.tags.resolve(Tag("1"))).descriptor == ITSELF
    assert methods(parent) == ["HEAD", "GET", "GET"]


@pytest.mark.parametrize(
    ("fault", "of_any", "of_ours"),
    [
        (SourceErred("500"), True, True),
        (SourceDenied("403"), True, True),
        (SourceUnavailable("502"), True, False),
        (SourceUnreadable("a redirect to nowhere"), True, False),
        (SourceThrottled("429"), False, False),
        (SourceDown("nobody was asked"), False, False),
        (SourceLied("304 to no condition"), False, False),
    ],
)
def test_what_is_left_to_get(fault: Failure, of_any: bool, of_ours: bool) -> None:
    assert leaves_it_to_get(fault, mesh=False) is of_any
    assert leaves_it_to_get(fault, mesh=True) is of_ours
    assert leaves_it_to_get(fault, mesh=False, available=False) is of_ours


def test_a_moments_trouble_is_doubted_for_less() -> None:
    now = [0.0]
    heads = Heads(lambda: now[0])
    heads.useless(Asked.BLOBS, SourceUnavailable("502"))
    assert not heads.worth(Asked.BLOBS)
    now[0] = PASSING
    assert heads.worth(Asked.BLOBS)
    heads.useless(Asked.BLOBS, SourceRefused("405"))
    now[0] += DOUBT - 1
    assert not heads.worth(Asked.BLOBS)


def test_doubt_ends() -> None:
    now = [0.0]
    heads = Heads(lambda: now[0])
    heads.useless(Asked.BLOBS)
    assert (heads.worth(Asked.BLOBS), heads.worth(Asked.MANIFESTS)) == (False, True)
    now[0] = DOUBT
    assert heads.worth(Asked.BLOBS)


async def test_a_head_that_is_no_http_leaves_it_to_get(parent: SimulatedRegistry, app: Repository) -> None:
    """A body follows where none may, or a length is negative: the next answer of that connection cannot be read."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            return web.Response(body=MANIFEST, headers=FULL)
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n")
        await asyncio.sleep(3600)
        raise AssertionError

    parent.answers[PATH] = answer
    assert (await app.tags.resolve(Tag("1"))).descriptor == ITSELF
