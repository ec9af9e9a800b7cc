"""The fast path answers what the slow path would, byte for byte, or leaves the request to it."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest_asyncio

from registry_mesh.auth.access import AnonymousAccess, Level
from registry_mesh.content.fills import Fills
from registry_mesh.edge import fast
from registry_mesh.edge.hot import Hot
from registry_mesh.edge.server import Server
from registry_mesh.edge.settings import Settings
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_MANIFEST
from registry_mesh.oci.reference import RegistryName
from registry_mesh.roles.site import Site, SiteRegistry
from registry_mesh.stores.disk import DiskStore
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession, open_session
from tests.simulators.registry import SimulatedRegistry, simulated_registry
from tests.suites.bytes_of import pattern

DATA = pattern(3_000_000)
DIGEST = Digest.of(DATA)
MANIFEST = (
    b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":'
    b'"application/vnd.oci.image.config.v1+json","digest":"%s","size":3000000},"layers":[]}'
    % str(DIGEST).encode()
)
NAMED = Digest.of(MANIFEST)
VARIABLE = re.compile(rb"(Date|X-Request-Id|Age): [^\r]*\r\n")

BLOB = f"/v2/team/app/blobs/{DIGEST}"
TARGETS = [BLOB, f"{BLOB}?ns=registry.example", "/v2/team/app/manifests/1", f"/v2/team/app/manifests/{NAMED}"]
TARGETS += [
    "/v2/registry.example/team/app/manifests/1",
    "/v2/",
    "/v2/team/app/blobs/sha256:00",
    f"{BLOB}?x=1",
]
FIELDS = [
    "",
    "User-Agent: containerd/1.6.20\r\nAccept: application/json, */*\r\n",
    "Range: bytes=0-0\r\n",
    "Range: bytes=1000-70000\r\nUser-Agent: Go-http-client/1.1\r\nAccept-Encoding: identity\r\n",
    "Range: bytes=2999990-\r\n",
    "Range: bytes=2999990-9999999\r\n",
    "Range: bytes=-5\r\n",
    "Range: bytes=-9999999\r\n",
    "Range: bytes=-0\r\n",
    "Range: bytes=-\r\n",
    "Range: bytes=+1-2\r\n",
    "Range: bytes= 1-2\r\n",
    "Range: bytes=1_0-2_0\r\n",
    "Range: bytes=00001-0000000000000000000000000000000000000002\r\n",
    "Range: bytes=5-1\r\n",
    "Range: bytes=3000000-\r\n",
    "Range: bytes=0-0,5-9\r\n",
    "range: bytes=0-9\r\n",
    "Range: bytes=0-9\r\nRange: bytes=5-9\r\n",
    "Range: BYTES=0-9\r\n",
    "Range: bytes=0-9\r\nIf-Range: \"x\"\r\n",
    f'If-None-Match: "{DIGEST}"\r\n',
    f'If-None-Match: "{NAMED}"\r\n',
    'If-Match: "no"\r\n',
    "Authorization: Basic eDp5\r\n",
    "X-Anything: 1\r\n",
    "Host: again\r\n",
    "Content-Length: 0\r\n",
    "Accept: a\r\nAccept: b\r\n",
]  # fmt: skip


class Twins:
    """One site served twice: with the fast path and without."""

    def __init__(self, parent: SimulatedRegistry, site: Site) -> None:
        self.parent = parent
        policy = AnonymousAccess(Level.PULL)
        self.settings = Settings(
            name="twin", policy=policy, default_registry=RegistryName("registry.example"), hot_idle=30
        )
        self.fast = Server(site, self.settings)
        self.slow = Server(site, replace(self.settings, fast=False))

    @property
    def hot(self) -> Hot:
        return self.fast._ring.hot

    async def warm(self) -> None:
        """Ask for everything until it is hot."""
        for target, method in itertools.product(TARGETS[:5], ("GET", "HEAD")):
            for _ in range(3):
                await ask(self.fast, f"{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n")
                await asyncio.sleep(0.01)


async def ask(server: Server, request: str | bytes) -> bytes:
    """Everything that comes back, on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request if isinstance(request, bytes) else request.encode())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    length = re.search(rb"\r\nContent-Length: (\d+)", head)
    method = request[:4] if isinstance(request, bytes) else request[:4].encode()
    body = b""
    if length is not None and method != b"HEAD" and b" 304 " not in head[:20]:
        body = await asyncio.wait_for(reader.readexactly(int(length[1])), 10)
    writer.close()
    return head + body


@pytest_asyncio.fixture
async def twins(tmp_path: Path) -> AsyncIterator[Twins]:
    async with AsyncExitStack() as stack:
        parent = await stack.enter_async_context(simulated_registry())
        parent.says(BLOB, body=DATA)
        digest = {"Docker-Content-Digest": str(NAMED)}
        parent.says(
            f"/v2/team/app/manifests/{NAMED}", body=MANIFEST, content_type=OCI_MANIFEST, headers=digest
        )
        parent.says("/v2/team/app/manifests/1", body=MANIFEST, content_type=OCI_MANIFEST, headers=digest)
        session = await stack.enter_async_context(open_session())
        upstream = UpstreamRegistry(ParentSession(session, parent.url), RegistryName("registry.example"))
        store = await DiskStore.start(tmp_path, evict=True)
        fills = Fills(store)
        site = Site(
            store, store.records, fills, {RegistryName("registry.example"): SiteRegistry([[upstream]])}
        )
        twins = Twins(parent, site)
        await twins.fast.start()
        await twins.slow.start()
        yield twins
        await twins.fast.close()
        await twins.slow.close()
        await site.close()
        await fills.close()
        await store.close()


def settled(answer: bytes) -> bytes:
    boundary = re.search(rb"boundary=([0-9a-f]+)", answer)
    if boundary is not None:
        answer = answer.replace(boundary[1], b"boundary")
    head, empty, body = answer.partition(b"\r\n\r\n")
    return VARIABLE.sub(b"", head + b"\r\n") + empty + body


async def test_every_shape_of_request_gets_the_same_answer(twins: Twins) -> None:
    await twins.warm()
    assert len(twins.hot.blobs) == 2
    assert len(twins.hot.manifests) == 6
    for target, fields, method in itertools.product(TARGETS, FIELDS, ("GET", "HEAD")):
        request = f"{method} {target} HTTP/1.1\r\nHost: site\r\n{fields}\r\n"
        answers = [await ask(server, request) for server in (twins.fast, twins.slow)]
        assert settled(answers[0]) == settled(answers[1]), request


async def test_hits_do_not_reach_the_slow_path(twins: Twins) -> None:
    await twins.warm()
    asked: list[bytes] = []
    original = fast.FastConnection._answer

    def answer(self: fast.FastConnection, path: fast.FastPath, data: bytes) -> bool:
        done = original(self, path, data)
        if not done:
            asked.append(data)
        return done

    fast.FastConnection._answer = answer  # type: ignore[method-assign]
    try:
        for target in TARGETS[:5]:
            await ask(twins.fast, f"GET {target} HTTP/1.1\r\nHost: x\r\nUser-Agent: y\r\n\r\n")
        for span in ("0-65535", "100000-165535", "2000000-", "-5", "-9999999"):
            await ask(twins.fast, f"GET {BLOB} HTTP/1.1\r\nHost: x\r\nRange: bytes={span}\r\n\r\n")
    finally:
        fast.FastConnection._answer = original  # type: ignore[method-assign]
    assert asked == []


async def test_pipelined_split_and_mixed_requests_are_answered_in_order(twins: Twins) -> None:
    await twins.warm()
    one = f"GET {BLOB} HTTP/1.1\r\nHost: x\r\nRange: bytes=0-2999999\r\n\r\n".encode()
    two = f"GET {BLOB} HTTP/1.1\r\nHost: x\r\nRange: bytes=7-9\r\n\r\n".encode()
    three = b"GET /v2/team/app/manifests/1 HTTP/1.1\r\nHost: x\r\n\r\n"
    slow = b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"
    expected = [DATA, DATA[7:10], MANIFEST, b"{}", DATA[7:10]]
    for cuts in ([], [len(one)], [10, len(one) + 5], [len(one), len(one) + len(two) + len(three)]):
        stream = one + two + three + slow + two
        reader, writer = await asyncio.open_connection("127.0.0.1", twins.fast.port)
        start = 0
        for cut in [*cuts, len(stream)]:
            writer.write(stream[start:cut])
            await asyncio.sleep(0.02)
            start = cut
        for body in expected:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            length = re.search(rb"\r\nContent-Length: (\d+)", head)
            assert length is not None
            assert await asyncio.wait_for(reader.readexactly(int(length[1])), 10) == body
        writer.close()


async def test_a_client_that_hangs_up_in_the_middle_leaves_nothing_behind(twins: Twins) -> None:
    await twins.warm()
    for _ in range(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", twins.fast.port, limit=1024)
        writer.write(f"GET {BLOB} HTTP/1.1\r\nHost: x\r\nRange: bytes=0-2999999\r\n\r\n".encode())
        await reader.read(100)
        writer.transport.abort()
    async with asyncio.timeout(5):
        while twins.fast.running or any(entry.sending for entry in twins.hot.blobs.values()):
            await asyncio.sleep(0.01)
    answer = await ask(twins.fast, f"GET {BLOB} HTTP/1.1\r\nHost: x\r\nRange: bytes=5-9\r\n\r\n")
    assert answer.endswith(DATA[5:10])


async def test_rights_are_asked_on_every_hit(twins: Twins) -> None:
    await twins.warm()
    object.__setattr__(twins.settings.policy, "level", Level.NOTHING)
    for target in TARGETS[:4]:
        answer = await ask(twins.fast, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 401 ")


async def test_a_stored_byte_that_rots_is_not_sent(twins: Twins, tmp_path: Path) -> None:
    await twins.warm()
    path = next(p for p in tmp_path.rglob(DIGEST.hex) if p.is_file())
    with path.open("r+b") as file:
        file.seek(1_500_000)
        file.write(bytes([DATA[1_500_000] ^ 1]))
    request = f"GET {BLOB} HTTP/1.1\r\nHost: x\r\nRange: bytes=1499990-1500010\r\n\r\n"
    answer = await ask(twins.fast, request)
    assert answer.endswith(DATA[1_499_990:1_500_011])


async def test_what_nobody_asks_for_is_let_go(twins: Twins) -> None:
    await twins.warm()
    assert twins.hot.blobs
    twins.hot._idle = 0.1
    async with asyncio.timeout(20):
        while twins.hot.blobs:
            await asyncio.sleep(0.05)
