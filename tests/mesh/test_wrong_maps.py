"""A parent alone whose chunk maps are wrong, and its blobs right: what a damaged file of it would do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.chunks.map_format import encode
from registry_mesh.edge.server import Server
from registry_mesh.edge.settings import Settings
from registry_mesh.oci.span import Span
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.pieces import in_memory
from registry_mesh.ports.repositories import RegistrySource
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession
from registry_mesh.upstream.way import Way
from tests.mesh.test_proof_at_depth import AT, DATA, DIGEST, RANGE, Tiers, eventually_right
from tests.simulators.gateway import Pass, gateway
from tests.simulators.nests import NearParent, Plain
from tests.suites.bytes_of import pattern
from tests.suites.library import REGISTRY
from tests.suites.maps_of import map_of

Spoil = Callable[[bytes], bytes]
HEAD = 20 + 32 + 32
"""Bytes of a map of one page before its pages: fixed fields, digest, upper level."""


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def of(data: bytes) -> Spoil:
    """The map of other bytes, in the name of the blob."""
    return lambda _: encode(map_of(data), DIGEST)


SPOILT: dict[str, Spoil] = {
    "a bit of a page": lambda body: flipped(body, len(body) - 5),
    "a bit of the upper level": lambda body: flipped(body, HEAD - 3),
    "another blob's name": lambda body: flipped(body, 25),
    "cut off": lambda body: body[:-7],
    "nothing": lambda _: b"",
    "a page of text": lambda _: b"<html>",
    "no pages": lambda body: body[:HEAD] + bytes(8),
    "of a shorter blob": of(DATA[: 3 * CHUNK]),
    "of a longer blob": of(DATA + pattern(CHUNK)),
    "of an empty blob": of(b""),
}


class Spoilt(Tiers):
    """Of one hop all chunk maps are spoilt on their way."""

    spoil: Spoil
    flips = False
    refuses = 0
    """A status by which maps are refused, as a proxy does that lets blobs pass and nothing that it does not know."""

    async def _spoilt(self, tier: RegistrySource, hop: int) -> NearParent:
        server = Server(Plain(tier, "origin" if hop == 1 else "site"), Settings())
        await server.start()
        self._stack.push_async_callback(server.close)
        way = await self._stack.enter_async_context(gateway(f"http://127.0.0.1:{server.port}"))

        async def ill(request: web.Request, _: bytes, ask: Pass) -> web.Response:
            if self.refuses and "/_mesh/chunks/" in request.path:
                return web.Response(status=self.refuses)
            answer = await ask()
            if self.flips and "/blobs/" in request.path and answer.status in (200, 206):
                assert isinstance(answer.body, bytes)
                body, headers = flipped(answer.body, len(answer.body) // 2), {**answer.headers}
                return web.Response(status=answer.status, body=body, headers=headers)
            if "/_mesh/chunks/" not in request.path or answer.status != 200:
                return answer
            assert isinstance(answer.body, bytes)
            return web.Response(body=self.spoil(answer.body), content_type=answer.content_type)

        way.ill = ill
        client = await self._stack.enter_async_context(open_session(Way(hosts=frozenset({"127.0.0.1"}))))
        session = ParentSession(client, way.url, ns="always")
        return NearParent(UpstreamRegistry(session, REGISTRY), session.name)


@pytest_asyncio.fixture
async def tiers(tmp_path: Path) -> AsyncIterator[Spoilt]:
    async with AsyncExitStack() as stack:
        yield Spoilt(stack, tmp_path)


@pytest.mark.parametrize("span", [None, RANGE], ids=["whole", "range"])
@pytest.mark.parametrize("other", [flipped(DATA, AT), pattern(len(DATA), seed=4)], ids=["a chunk", "all"])
async def test_its_blobs_are_had_although_the_map_is_a_right_one_of_other_bytes(
    tiers: Spoilt, other: bytes, span: Span | None
) -> None:
    """What does not fit it and comes twice alike is kept: the digest of the whole tells that the bytes are right."""
    tiers.spoil = of(other)
    blobs = await tiers.build(1, with_map=False, alone=True)
    await eventually_right(blobs, span)


@pytest.mark.parametrize(
    ("kind", "span"),
    [*((kind, RANGE) for kind in SPOILT), *((kind, None) for kind in ("a bit of a page", "no pages"))],
)
async def test_its_blobs_are_had_all_the_same(tiers: Spoilt, kind: str, span: Span | None) -> None:
    """The digest of the whole proves them; no part leaves before that. Nobody is blamed for its bytes."""
    tiers.spoil = SPOILT[kind]
    blobs = await tiers.build(1, with_map=False, alone=True)
    await eventually_right(blobs, span)
    assert not any(tiers.blamed.values())


@pytest.mark.parametrize("span", [None, RANGE], ids=["whole", "range"])
@pytest.mark.parametrize("status", [204, 400, 401, 403, 405, 500, 501, 502, 503])
async def test_its_blobs_are_had_although_its_maps_are_refused(
    tiers: Spoilt, status: int, span: Span | None
) -> None:
    tiers.refuses = status
    blobs = await tiers.build(1, with_map=False, alone=True)
    async with blobs.open(DIGEST, span) as reading:
        given = b"".join([piece async for piece in in_memory(reading)])
    assert given == (DATA if span is None else DATA[span.start : span.stop])
    assert not any(tiers.blamed.values())


async def test_no_wrong_byte_of_a_range_leaves_where_maps_are_refused(tiers: Spoilt) -> None:
    """As what the parent alone says is not proven without them."""
    tiers.refuses, tiers.flips = 403, True
    blobs = await tiers.build(1, with_map=False, alone=True)
    with pytest.raises(Failure):
        async with blobs.open(DIGEST, RANGE) as reading:
            async for _ in in_memory(reading):
                pass
