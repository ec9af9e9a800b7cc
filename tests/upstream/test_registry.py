"""What a parent may do to us, over a real socket."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from aiohttp import web

from registry_mesh.chunks.map_format import encode, encode_old
from registry_mesh.chunks.sums import SumAlgorithm
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_INDEX, OCI_MANIFEST
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag, referrers_tag
from registry_mesh.oci.refusals import BlobUnknown, ManifestUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import TO_END
from registry_mesh.ports.failures import (
    Failure,
    SourceDenied,
    SourceLied,
    SourceThrottled,
    SourceUnavailable,
    SpanUnsatisfiable,
)
from registry_mesh.ports.hops import ONLY_IF_CACHED, SIBLING
from registry_mesh.ports.pieces import in_memory
from registry_mesh.ports.repositories import Repository
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.health.liveness import Patience
from registry_mesh.upstream.login.credentials import Credentials
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession
from registry_mesh.upstream.way import Way
from tests.eventually import eventually
from tests.simulators.registry import SimulatedRegistry, simulated_registry
from tests.simulators.upstream import PATIENT, upstream_of
from tests.suites.maps_of import map_of

DATA = bytes(range(256)) * 500
DIGEST = Digest.of(DATA)
BLOB = f"/v2/team/app/blobs/{DIGEST}"
HANGS = replace(PATIENT, suspect=0.2, silent=0.1, ping=0.2, first=0.3)
"""For a parent that is not to answer."""


class World:
    """A client of ours and as many simulated registries as a test wants."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.stack = stack
        self.parents: list[ParentSession] = []
        """Of the registries, in the order of their clients."""

    async def registry(self) -> SimulatedRegistry:
        return await self.stack.enter_async_context(simulated_registry())

    async def upstream(
        self,
        registry: SimulatedRegistry,
        credentials: Credentials | None = None,
        name: str = "registry.example",
        patience: Patience = PATIENT,
    ) -> UpstreamRegistry:
        session = await self.stack.enter_async_context(open_session(Way(hosts=frozenset({"127.0.0.1"}))))
        self.parents.append(ParentSession(session, registry.url, credentials, patience, ns="always"))
        return UpstreamRegistry(self.parents[-1], RegistryName(name))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield World(stack)


@pytest.fixture
async def parent(world: World) -> SimulatedRegistry:
    return await world.registry()


@pytest.fixture
async def app(world: World, parent: SimulatedRegistry) -> Repository:
    return (await world.upstream(parent)).repository(RepositoryName("team/app"))


async def app_with(world: World, parent: SimulatedRegistry, patience: Patience) -> Repository:
    return (await world.upstream(parent, patience=patience)).repository(RepositoryName("team/app"))


async def read(app: Repository, span: Span | None = None) -> bytes:
    async with app.blobs.open(DIGEST, span) as reading:
        data = b"".join([piece async for piece in in_memory(reading)])
        assert len(data) == len(reading.span)
        return data


async def test_a_whole_blob_is_asked_for_plainly(parent: SimulatedRegistry, app: Repository) -> None:
    parent.says(BLOB, body=DATA)
    assert await read(app) == DATA
    (method, path, headers) = parent.asked[0]
    assert (method, path) == ("GET", f"{BLOB}?ns=registry.example")
    assert "Range" not in headers and headers["Accept-Encoding"] == "identity"


async def test_however_many_bodies_wait_for_their_readers_others_are_answered(
    parent: SimulatedRegistry, app: Repository
) -> None:
    go_on = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(DATA))})
        await response.prepare(request)
        await response.write(DATA[:10])
        await go_on.wait()
        await response.write(DATA[10:])
        return response

    parent.answers[BLOB] = answer
    parent.says("/v2/team/app/tags/list", body=b'{"name":"team/app","tags":["1"]}')
    async with AsyncExitStack() as stack:
        for _ in range(200):
            await stack.enter_async_context(app.blobs.open(DIGEST))
        async with asyncio.timeout(20):
            assert (await app.tags.tags(5)).tags == ("1",)
        go_on.set()


async def test_no_ns_where_the_host_is_the_registry(world: World, parent: SimulatedRegistry) -> None:
    parent.says(BLOB, body=DATA)
    upstream = await world.upstream(parent, name=parent.url.removeprefix("http://"))
    assert await read(upstream.repository(RepositoryName("team/app"))) == DATA
    assert parent.asked[0][1] == BLOB


def ranged(
    request: web.Request, *, shift: int = 0, total: int = len(DATA), at_most: int = len(DATA)
) -> web.Response:
    first, _, last = request.headers["Range"].removeprefix("bytes=").partition("-")
    start, stop = int(first), int(last) + 1 if last else len(DATA)
    stop = min(stop, len(DATA), start + at_most)
    return web.Response(
        status=206,
        body=DATA[start:stop],
        headers={"Content-Range": f"bytes {start + shift}-{stop - 1 + shift}/{total}"},
    )


@pytest.mark.parametrize("span", [Span(0, 1), Span(100, 5000), Span(127_990, 200_000), Span(9, TO_END)])
async def test_a_span_is_asked_for_and_clipped(
    parent: SimulatedRegistry, app: Repository, span: Span
) -> None:
    async def answer(request: web.Request) -> web.Response:
        return ranged(request)

    parent.answers[BLOB] = answer
    assert await read(app, span) == DATA[span.start : span.stop]


async def test_200_to_a_range_is_never_taken_for_the_range(
    parent: SimulatedRegistry, app: Repository
) -> None:
    parent.says(BLOB, body=DATA)
    assert await read(app, Span(70_000, 70_010)) == DATA[70_000:70_010]


@pytest.mark.parametrize("status", [204, 400, 403, 405, 406, 411, 500, 501, 206])
async def test_a_range_that_is_refused_or_answered_in_part_is_cut_out_of_the_whole(
    parent: SimulatedRegistry, app: Repository, status: int
) -> None:
    async def answer(request: web.Request) -> web.Response:
        if "Range" not in request.headers:
            return web.Response(body=DATA)
        return ranged(request, at_most=1000) if status == 206 else web.Response(status=status)

    parent.answers[BLOB] = answer
    assert await read(app, Span(70_000, 75_000)) == DATA[70_000:75_000]


async def test_a_sibling_may_give_the_beginning_of_what_it_holds(parent: SimulatedRegistry) -> None:
    """And is not asked for the whole then, which it lacks (RFC 9110, 15.3.7)."""

    async def answer(request: web.Request) -> web.Response:
        return ranged(request, at_most=1000) if "Range" in request.headers else web.Response(status=504)

    parent.answers[BLOB] = answer
    async with upstream_of(parent, fields=dict([SIBLING, ONLY_IF_CACHED])) as sibling:
        blobs = sibling.repository(RepositoryName("team/app")).blobs
        async with blobs.open(DIGEST, Span(70_000, 75_000)) as reading:
            assert reading.span == Span(70_000, 71_000)
            given = b"".join([bytes(piece) async for piece in reading.pieces()])
    assert given == DATA[70_000:71_000]


async def test_a_total_that_is_more_than_there_is_does_not_keep_the_whole_away(
    parent: SimulatedRegistry, app: Repository
) -> None:
    async def answer(request: web.Request) -> web.Response:
        return ranged(request, total=len(DATA) + 7) if "Range" in request.headers else web.Response(body=DATA)

    parent.answers[BLOB] = answer
    assert await read(app, Span(70_000, TO_END)) == DATA[70_000:]


async def test_a_part_of_other_bytes_is_a_lie(parent: SimulatedRegistry, app: Repository) -> None:
    async def answer(request: web.Request) -> web.Response:
        return ranged(request, shift=1) if "Range" in request.headers else web.Response(body=DATA)

    parent.answers[BLOB] = answer
    with pytest.raises(SourceLied):
        await read(app, Span(100_500, 110_000))


@pytest.mark.parametrize("more", [1, -1])
async def test_a_content_range_of_another_length_than_its_body_is_no_answer(
    parent: SimulatedRegistry, app: Repository, more: int
) -> None:
    """As where its last byte is written as the one after it, or it stands over parts, or over a compressed body."""

    async def answer(request: web.Request) -> web.Response:
        if "Range" not in request.headers:
            return web.Response(body=DATA)
        told = {"Content-Range": f"bytes 100500-{109_999 + more}/{len(DATA)}"}
        return web.Response(status=206, body=DATA[100_500:110_000], headers=told)

    parent.answers[BLOB] = answer
    assert await read(app, Span(100_500, 110_000)) == DATA[100_500:110_000]


async def test_a_content_range_beyond_its_own_total_is_no_answer(
    parent: SimulatedRegistry, app: Repository
) -> None:
    async def answer(request: web.Request) -> web.Response:
        return ranged(request, total=100_000) if "Range" in request.headers else web.Response(body=DATA)

    parent.answers[BLOB] = answer
    assert await read(app, Span(100_500, 110_000)) == DATA[100_500:110_000]


async def test_a_part_in_place_of_the_whole_is_a_lie(parent: SimulatedRegistry, app: Repository) -> None:
    told = {"Content-Range": f"bytes 1-{len(DATA) - 1}/{len(DATA)}"}
    parent.says(BLOB, status=206, body=DATA[1:], headers=told)
    with pytest.raises(SourceLied):
        await read(app, Span(0, 10))


async def test_past_the_end(parent: SimulatedRegistry, app: Repository) -> None:
    parent.says(BLOB, status=416, headers={"Content-Range": f"bytes */{len(DATA)}"})
    with pytest.raises(SpanUnsatisfiable) as caught:
        await read(app, Span(1 << 30, TO_END))
    assert caught.value.size == len(DATA)


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (404, BlobUnknown),
        (410, BlobUnknown),
        (401, SourceDenied),
        (403, SourceDenied),
        (429, SourceThrottled),
        (500, SourceUnavailable),
        (502, SourceUnavailable),
        (418, SourceUnavailable),
    ],
)
async def test_statuses(
    parent: SimulatedRegistry, app: Repository, status: int, failure: type[Exception]
) -> None:
    parent.says(BLOB, status=status, headers={"Retry-After": "7"})
    with pytest.raises(failure) as caught:
        await read(app)
    if status == 429:
        assert isinstance(caught.value, Failure) and caught.value.retry_after == 7


async def test_a_body_that_breaks_off_is_a_failure(parent: SimulatedRegistry, app: Repository) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(DATA))})
        await response.prepare(request)
        await response.write(DATA[:1000])
        assert request.transport is not None
        request.transport.abort()
        return response

    parent.answers[BLOB] = answer
    with pytest.raises(SourceUnavailable):
        await read(app)


async def test_a_body_that_stalls_is_a_failure(world: World, parent: SimulatedRegistry) -> None:
    app = await app_with(world, parent, replace(PATIENT, stall=0.5))

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(DATA))})
        await response.prepare(request)
        await response.write(DATA[:1000])
        await asyncio.sleep(3600)
        return response

    parent.answers[BLOB] = answer
    async with asyncio.timeout(25):
        with pytest.raises(SourceUnavailable):
            await read(app)


async def test_a_hung_parent_is_found_out_and_left_alone(world: World, parent: SimulatedRegistry) -> None:
    parent.hung = True
    app = await app_with(world, parent, HANGS)
    async with asyncio.timeout(25):  # for its head alone it had 60
        with pytest.raises(SourceUnavailable, match="never answers"):
            await app.blobs.stat(DIGEST)
    [session] = world.parents
    assert not session.parent.available

    def broken() -> bool:
        assert not session.parent.available, "between silence and its breaker nobody asks it"
        return bool(session.parent.breaker.open)

    await eventually(broken, "the breaker")


async def test_a_parent_that_answers_a_little_later_was_never_away(
    world: World, parent: SimulatedRegistry
) -> None:
    app, given_up = await app_with(world, parent, replace(HANGS, ping=30)), asyncio.Event()

    async def late(request: web.Request) -> web.Response:
        await given_up.wait()  # longer than anybody waits, sooner than a ping is given up
        return web.Response()

    async def hung(request: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        raise AssertionError

    [session] = world.parents
    session.parent.breaker.succeeded(0.001)  # it is near: one that is not known yet is given more time
    parent.answers["/v2/"] = late
    parent.answers[BLOB] = hung
    with pytest.raises(SourceUnavailable, match="never answers"):
        await app.blobs.stat(DIGEST)
    assert not session.parent.available
    given_up.set()
    await eventually(lambda: session.parent.available, "the ping to be answered")
    assert not session.parent.breaker.open


async def test_a_slow_parent_is_not_taken_for_a_hung_one(world: World, parent: SimulatedRegistry) -> None:
    app = await app_with(world, parent, replace(PATIENT, suspect=0.1))
    parent.says("/v2/", status=200)

    async def answer(request: web.Request) -> web.Response:
        await eventually(lambda: len(parent.seen) > len(parent.asked), "to be pinged")
        await asyncio.sleep(0.2)
        return web.Response(body=DATA)

    parent.answers[BLOB] = answer
    assert await read(app) == DATA


async def test_the_size_of_a_blob_in_chunks_is_told_by_head(
    parent: SimulatedRegistry, app: Repository
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method == "HEAD":
            return web.Response(headers={"Content-Length": str(len(DATA))})
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(DATA)
        return response

    parent.answers[BLOB] = answer
    assert await read(app) == DATA
    assert await read(app, Span(70_000, 70_010)) == DATA[70_000:70_010]


@pytest.mark.parametrize("label", ["gzip", "x-gzip", "aws-chunked", "utf-8", "", "br"])
async def test_a_label_changes_nothing_of_a_blob(
    parent: SimulatedRegistry, app: Repository, label: str
) -> None:
    parent.says(BLOB, body=DATA, headers={"Content-Encoding": label})
    assert await read(app) == DATA


# -- credentials ----------------------------------------------------------------------------------------------


ME = Credentials("robot", "s3cret")


def demanding(realm: str, token: str = "t0ken") -> object:
    async def answer(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {token}":
            challenge = f'Bearer realm="{realm}",service="s",scope="repository:team/app:pull"'
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})
        return web.Response(body=DATA)

    return answer


async def test_a_token_is_fetched_once_and_reused(world: World, parent: SimulatedRegistry) -> None:
    app = (await world.upstream(parent, ME)).repository(RepositoryName("team/app"))
    parent.answers[BLOB] = demanding(f"{parent.url}/token")  # type: ignore[assignment]
    parent.says("/token", text=json.dumps({"token": "t0ken", "expires_in": 300}))
    assert await read(app) == DATA
    assert await read(app) == DATA
    tokens = [seen for seen in parent.seen if seen[1].startswith("/token")]
    assert len(tokens) == 1
    assert tokens[0][1] == "/token?scope=repository:team/app:pull&service=s"
    assert base64.b64decode(tokens[0][2]["Authorization"].removeprefix("Basic ")) == b"robot:s3cret"


async def test_a_token_may_come_compressed(world: World, parent: SimulatedRegistry) -> None:
    """Identity is asked for; some compress all the same."""
    app = (await world.upstream(parent, ME)).repository(RepositoryName("team/app"))
    parent.answers[BLOB] = demanding(f"{parent.url}/token")  # type: ignore[assignment]
    body = gzip.compress(json.dumps({"token": "t0ken"}).encode())
    parent.says("/token", body=body, headers={"Content-Encoding": "gzip"})
    assert await read(app) == DATA


async def test_a_token_may_come_in_pieces(world: World, parent: SimulatedRegistry) -> None:
    async def in_pieces(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for part in (b'{"token": "t0', b'ken", "expires_in": 300}'):
            await answer.write(part)
            await asyncio.sleep(0.05)
        return answer

    app = (await world.upstream(parent, ME)).repository(RepositoryName("team/app"))
    parent.answers[BLOB] = demanding(f"{parent.url}/token")  # type: ignore[assignment]
    parent.answers["/token"] = in_pieces  # type: ignore[assignment]
    assert await read(app) == DATA


async def test_credentials_are_not_told_to_another_port(world: World, parent: SimulatedRegistry) -> None:
    thief = await world.registry()
    thief.says("/token", text=json.dumps({"token": "t0ken"}))
    parent.answers[BLOB] = demanding(f"{thief.url}/token")  # type: ignore[assignment]
    app = (await world.upstream(parent, ME)).repository(RepositoryName("team/app"))
    with pytest.raises(SourceDenied, match="may not"):
        await read(app)
    assert not thief.seen


@pytest.mark.parametrize("realm", ["http://169.254.169.254/latest", "file:///etc/passwd", "http://user@x/t"])
async def test_bad_realms_are_not_asked(world: World, parent: SimulatedRegistry, realm: str) -> None:
    parent.answers[BLOB] = demanding(realm)  # type: ignore[assignment]
    app = (await world.upstream(parent, ME)).repository(RepositoryName("team/app"))
    with pytest.raises(SourceDenied):
        await read(app)


async def test_a_401_loop_ends(world: World, parent: SimulatedRegistry) -> None:
    parent.answers[BLOB] = demanding(f"{parent.url}/token", "never")  # type: ignore[assignment]
    parent.says("/token", text=json.dumps({"token": "t0ken"}))
    app = (await world.upstream(parent, ME)).repository(RepositoryName("team/app"))
    with pytest.raises(SourceDenied):
        await read(app)
    assert len(parent.asked) == 3


async def test_a_token_with_a_line_break_is_refused(world: World, parent: SimulatedRegistry) -> None:
    parent.answers[BLOB] = demanding(f"{parent.url}/token")  # type: ignore[assignment]
    parent.says("/token", text=json.dumps({"token": "a\r\nX: y"}))
    app = (await world.upstream(parent, ME)).repository(RepositoryName("team/app"))
    with pytest.raises(SourceUnavailable, match="no token"):
        await read(app)


async def test_authorization_does_not_follow_a_redirect(world: World, parent: SimulatedRegistry) -> None:
    bucket = await world.registry()
    bucket.says("/there", body=DATA)

    async def answer(request: web.Request) -> web.Response:
        if "Authorization" not in request.headers:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="r"'})
        return web.Response(status=307, headers={"Location": f"{bucket.url}/there?X-Sig=a%2Fb%3D"})

    parent.answers[BLOB] = answer
    app = (await world.upstream(parent, ME)).repository(RepositoryName("team/app"))
    assert await read(app) == DATA
    assert bucket.seen[0][1] == "/there?X-Sig=a%2Fb%3D"
    assert "Authorization" not in bucket.seen[0][2]


@pytest.mark.parametrize("location", ["", "ftp://x/y", "gopher://127.0.0.1/"])
async def test_redirects_to_nowhere(parent: SimulatedRegistry, app: Repository, location: str) -> None:
    parent.says(BLOB, status=307, headers={"Location": location})
    with pytest.raises(Failure):
        await read(app)
    assert len(parent.asked) <= 6


# -- manifests, tags, lists -----------------------------------------------------------------------------------

MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": str(DIGEST), "size": 1},
        "layers": [],
    }
).encode()
NAMED = Digest.of(MANIFEST)


async def test_a_manifest_is_checked_against_its_digest(parent: SimulatedRegistry, app: Repository) -> None:
    path = f"/v2/team/app/manifests/{NAMED}"
    parent.says(path, body=MANIFEST, content_type=OCI_MANIFEST)
    assert (await app.manifests.manifest(NAMED)).manifest.data == MANIFEST
    parent.says(
        path, body=MANIFEST + b" ", content_type=OCI_MANIFEST, headers={"Docker-Content-Digest": str(NAMED)}
    )
    with pytest.raises(SourceLied):
        await app.manifests.manifest(NAMED)


async def test_a_tag_is_one_head_and_a_get_where_that_tells_too_little(
    parent: SimulatedRegistry, app: Repository
) -> None:
    path = "/v2/team/app/manifests/1"
    parent.says(path, body=MANIFEST, content_type=OCI_MANIFEST, headers={"Docker-Content-Digest": str(NAMED)})
    assert (await app.tags.resolve(Tag("1"))).descriptor.digest == NAMED
    assert [seen[0] for seen in parent.asked] == ["HEAD"]
    parent.says(path, body=MANIFEST, content_type=OCI_MANIFEST)
    assert (await app.tags.resolve(Tag("1"))).descriptor.digest == NAMED
    assert [seen[0] for seen in parent.asked] == ["HEAD", "HEAD", "GET"]
    with pytest.raises(ManifestUnknown):
        await app.tags.resolve(Tag("2"))


TAGGED = "/v2/team/app/manifests/1"
KNOWN = Descriptor(OCI_MANIFEST, NAMED, len(MANIFEST))
OTHER = f"sha256:{'0' * 64}"


@pytest.mark.parametrize(
    "stated",
    [
        {},
        {"ETag": f'"{NAMED}"', "Docker-Content-Digest": str(NAMED)},
        {"ETag": f'W/"{NAMED}"'},
    ],
    ids=["bare", "in full", "weakened"],
)
async def test_a_known_tag_is_confirmed_by_304(
    parent: SimulatedRegistry, app: Repository, stated: dict[str, str]
) -> None:
    parent.says(TAGGED, status=304, headers=stated)
    assert (await app.tags.resolve(Tag("1"), KNOWN)).descriptor == KNOWN
    ((method, path, headers),) = parent.asked
    assert (method, path) == ("HEAD", f"{TAGGED}?ns=registry.example")
    assert headers["If-None-Match"] == f'"{NAMED}"'
    assert "Range" not in headers and OCI_INDEX in headers["Accept"]


@pytest.mark.parametrize(
    "stated",
    [
        {"ETag": f'"{OTHER}"'},
        {"ETag": f'W/"{OTHER}"'},
        {"ETag": str(NAMED)},
        {"ETag": '"5f-1a2b"', "Docker-Content-Digest": str(NAMED)},
        {"ETag": f'"{NAMED}"', "Docker-Content-Digest": OTHER},
        {"Docker-Content-Digest": OTHER},
    ],
    ids=["other", "other, weak", "no quotes", "not the digest", "other digest", "other digest alone"],
)
async def test_a_304_about_something_else_is_a_lie(
    parent: SimulatedRegistry, app: Repository, stated: dict[str, str]
) -> None:
    parent.says(TAGGED, status=304, headers=stated)
    with pytest.raises(SourceLied, match="confirmed"):
        await app.tags.resolve(Tag("1"), KNOWN)


async def test_a_304_that_nobody_asked_for_is_a_lie(parent: SimulatedRegistry, app: Repository) -> None:
    for path in (TAGGED, BLOB, f"/v2/team/app/manifests/{NAMED}", "/v2/team/app/tags/list"):
        parent.says(path, status=304, headers={"ETag": f'"{NAMED}"'})
    asking: list[Awaitable[object]] = [
        app.tags.resolve(Tag("1")),
        app.manifests.manifest(NAMED),
        app.blobs.stat(DIGEST),
        read(app),
        read(app, Span(0, 9)),
        app.tags.tags(10),
    ]
    for question in asking:
        with pytest.raises(SourceLied, match="304"):
            await question


@pytest.mark.parametrize("etag", [None, f'"{OTHER}"', '"5f-1a2b"', f'W/"{NAMED}"'])
async def test_a_200_to_a_known_tag_is_believed_as_ever(
    parent: SimulatedRegistry, app: Repository, etag: str | None
) -> None:
    headers = {"Docker-Content-Digest": OTHER} | ({"ETag": etag} if etag else {})
    parent.says(TAGGED, body=MANIFEST, content_type=OCI_MANIFEST, headers=headers)
    assert str((await app.tags.resolve(Tag("1"), KNOWN)).descriptor.digest) == OTHER
    assert [seen[0] for seen in parent.asked] == ["HEAD"]


async def test_where_no_digest_is_stated_a_known_tag_is_fetched_unconditionally(
    parent: SimulatedRegistry, app: Repository
) -> None:
    parent.says(TAGGED, body=MANIFEST, content_type=OCI_MANIFEST, headers={"ETag": '"5f-1a2b"'})
    assert (await app.tags.resolve(Tag("1"), KNOWN)).descriptor.digest == NAMED
    assert [(seen[0], "If-None-Match" in seen[2]) for seen in parent.asked] == [
        ("HEAD", True),
        ("GET", False),
    ]


async def test_a_known_tag_that_is_gone_is_unknown(app: Repository) -> None:
    with pytest.raises(ManifestUnknown):
        await app.tags.resolve(Tag("1"), KNOWN)


async def test_the_condition_survives_a_challenge_and_a_redirect(
    world: World, parent: SimulatedRegistry
) -> None:
    other = await world.registry()
    moved = f"{other.url}/elsewhere"
    other.says("/elsewhere", status=304)

    async def answer(request: web.Request) -> web.Response:
        if "Authorization" not in request.headers:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        return web.Response(status=307, headers={"Location": moved})

    parent.answers[TAGGED] = answer
    app = (await world.upstream(parent, Credentials("u", "p"))).repository(RepositoryName("team/app"))
    assert (await app.tags.resolve(Tag("1"), KNOWN)).descriptor == KNOWN
    asked = [seen[2]["If-None-Match"] for seen in (*parent.asked, *other.asked)]
    assert asked == [f'"{NAMED}"'] * 3


async def test_referrers_by_api_and_by_tag_are_one_list(parent: SimulatedRegistry, app: Repository) -> None:
    def listed(*digests: Digest) -> str:
        manifests = [{"mediaType": OCI_MANIFEST, "digest": str(d), "size": 3} for d in digests]
        return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})

    one, two, three = (Digest.of(n) for n in (b"1", b"2", b"3"))
    assert not (await app.referrers.referrers(DIGEST)).descriptors
    parent.says(f"/v2/team/app/referrers/{DIGEST}", text=listed(one, two), content_type=OCI_INDEX)
    parent.says(
        f"/v2/team/app/manifests/{referrers_tag(DIGEST)}", text=listed(two, three), content_type=OCI_INDEX
    )
    found = {d.digest for d in (await app.referrers.referrers(DIGEST)).descriptors}
    assert found == {one, two, three}


async def test_chunk_maps_are_asked_only_of_our_own_kind(parent: SimulatedRegistry, app: Repository) -> None:
    path = f"/v2/team/app/_mesh/chunks/{DIGEST}"
    parent.says(path, body=encode(map_of(DATA), DIGEST))
    parent.says(BLOB, body=DATA)
    parent.says("/v2/")
    assert await app.blobs.chunk_map(DIGEST) is None
    assert path not in [seen[1] for seen in parent.seen]
    parent.says(BLOB, body=DATA, headers={"Registry-Mesh": "origin"})
    await app.blobs.stat(DIGEST)
    found = await app.blobs.chunk_map(DIGEST)
    assert found is not None and found.size == len(DATA)
    parent.says(path, body=b"nonsense")
    with pytest.raises(SourceLied):
        await app.blobs.chunk_map(DIGEST)


async def test_chunk_maps_of_a_parent_of_an_earlier_version(
    parent: SimulatedRegistry, app: Repository
) -> None:
    """It gives all of the map in version 1, whatever is asked for."""
    parent.says(
        "/v2/team/app/_mesh/chunks/" + str(DIGEST), body=encode_old(map_of(DATA, SumAlgorithm.SHA256))
    )
    parent.says(BLOB, body=DATA, headers={"Registry-Mesh": "origin"})
    await app.blobs.stat(DIGEST)
    assert await app.blobs.chunk_map(DIGEST, Span(0, 1)) == map_of(DATA, SumAlgorithm.SHA256)
