"""One site served twice, with the fast path and without, to compare what comes back."""

from __future__ import annotations

import asyncio
import itertools
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from aiohttp import web

from registry_mesh.auth.access import AnonymousAccess, Level, Policy
from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.fill.policy import FillPolicy
from registry_mesh.content.nest.freshness import Freshness
from registry_mesh.edge.hot.blob import MOMENT
from registry_mesh.edge.hot.entries import Hot
from registry_mesh.edge.server import Server
from registry_mesh.edge.settings import Settings
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_MANIFEST
from registry_mesh.oci.reference import RegistryName
from registry_mesh.roles.site import Site, SiteRegistry
from registry_mesh.stores.disk.store import DiskStore
from registry_mesh.telemetry.instruments import Layout, Table
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession
from tests.eventually import eventually
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

PART_DATA = pattern(16 * MIB + 5)
PART_DIGEST = Digest.of(PART_DATA)
PART = f"/v2/team/app/blobs/{PART_DIGEST}"
"""A blob of which a test asks for parts only."""

TARGETS = [BLOB, f"{BLOB}?ns=registry.example", "/v2/team/app/manifests/1", f"/v2/team/app/manifests/{NAMED}"]
TARGETS += [
    "/v2/registry.example/team/app/manifests/1",
    "/v2/",
    "/v2/team/app/blobs/sha256:00",
    f"{BLOB}?x=1",
]
GIVEN = "of-a.client_7"
"""An X-Request-Id."""
FIELDS = [
    "",
    f"X-Request-Id: {GIVEN}\r\n",
    "If-None-Match: *\r\n",
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
    "User-Agent: a\r\nAccept: b\r\nuser-agent: a\r\n",
]  # fmt: skip


class Twins:
    """One site served twice: with the fast path and without. Each has a log and counters of its own."""

    def __init__(
        self, parent: SimulatedRegistry, site: Site, logs: Path, policy: Policy | None = None
    ) -> None:
        self.parent = parent
        self.site = site
        policy = policy or AnonymousAccess(Level.PULL)
        self.settings = Settings(
            name="twin",
            policy=policy,
            default_registry=RegistryName("registry.example"),
            hot_idle=30,
            access_log=str(logs / "fast.log"),
        )
        self.tables = [Table(Layout(), 1), Table(Layout(), 1)]
        slow = replace(self.settings, fast=False, access_log=str(logs / "slow.log"))
        self.fast = Server(site, self.settings, instruments=self.tables[0].row(0))
        self.slow = Server(site, slow, instruments=self.tables[1].row(0))

    @property
    def hot(self) -> Hot:
        return hot_of(self.fast)

    async def warm(self, server: Server | None = None) -> int:
        """See `warm`, of the fast one or of `server`."""
        return await warm(server or self.fast)


async def warm(server: Server, fields: str = "") -> int:
    """Ask for everything until it is hot: its files are opened in threads. How often was asked."""
    asked = 0

    async def hot() -> bool:
        nonlocal asked
        for target, method in itertools.product(TARGETS[:5], ("GET", "HEAD")):
            await ask(server, f"{method} {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n")
            asked += 1
        known = hot_of(server)
        return asked >= 30 and (len(known.blobs), len(known.manifests)) == (2, 6)

    await eventually(hot, "all to be hot")
    await asyncio.sleep(10 * MOMENT)  # for which a right and a file are good that were looked at
    return asked


def hot_of(server: Server) -> Hot:
    assert server.hot is not None
    return server.hot


async def ranged(request: web.Request) -> web.Response:
    """The blob of `PART`, as a registry sends it."""
    wanted = request.http_range
    body = PART_DATA[wanted]
    headers = {"Content-Range": f"bytes {wanted.start}-{wanted.start + len(body) - 1}/{len(PART_DATA)}"}
    return web.Response(status=206, body=body, headers=headers)


async def ask(server: Server, request: str | bytes, tls: ssl.SSLContext | None = None) -> bytes:
    """Everything that comes back, on a connection of its own. Over TLS that has had an answer before: the first one
    finds the handshake's last bytes in its way, and is never a fast one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=tls)
    if tls is not None:
        writer.write(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
        await read_answer(reader)
    writer.write(request if isinstance(request, bytes) else request.encode())
    method = request[:4] if isinstance(request, bytes) else request[:4].encode()
    answer = await read_answer(reader, bodyless=method == b"HEAD")
    writer.close()
    return answer


async def read_answer(reader: asyncio.StreamReader, *, bodyless: bool = False) -> bytes:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
    length = re.search(rb"\r\nContent-Length: (\d+)", head)
    if length is None or bodyless or b" 304 " in head[:20]:
        return head
    return head + await asyncio.wait_for(reader.readexactly(int(length[1])), 60)


LASTING: Final = Freshness(ttl=86_400, negative_ttl=86_400)
"""Answers are the same however long a test takes."""


@asynccontextmanager
async def open_twins(tmp_path: Path, policy: Policy | None = None) -> AsyncIterator[Twins]:
    async with AsyncExitStack() as stack:
        parent = await stack.enter_async_context(simulated_registry())
        parent.says(BLOB, body=DATA)
        digest = {"Docker-Content-Digest": str(NAMED)}
        parent.says(
            f"/v2/team/app/manifests/{NAMED}", body=MANIFEST, content_type=OCI_MANIFEST, headers=digest
        )
        parent.answers[PART] = ranged
        parent.says("/v2/team/app/manifests/1", body=MANIFEST, content_type=OCI_MANIFEST, headers=digest)
        session = await stack.enter_async_context(open_session())
        upstream = UpstreamRegistry(ParentSession(session, parent.url), RegistryName("registry.example"))
        store = await DiskStore.start(tmp_path, evict=True)
        fills = Fills(store, FillPolicy(complete_after=2))
        site = Site(
            store,
            store.records,
            fills,
            {RegistryName("registry.example"): SiteRegistry([[upstream]], LASTING)},
        )
        twins = Twins(parent, site, tmp_path, policy)
        await twins.fast.start()
        await twins.slow.start()
        yield twins
        await twins.fast.close()
        await twins.slow.close()
        await site.close()
        await fills.close()
        await store.close()


def narrow(server: Server) -> socket.socket:
    """Connected, and with no room for a long answer: the server has to wait for who reads it."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", server.port))
    sock.setblocking(False)
    return sock


def settled(answer: bytes) -> bytes:
    boundary = re.search(rb"boundary=([0-9a-f]+)", answer)
    if boundary is not None:
        answer = answer.replace(boundary[1], b"boundary")
    head, empty, body = answer.partition(b"\r\n\r\n")
    return VARIABLE.sub(b"", head + b"\r\n") + empty + body


def counts(table: Table) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every counter and gauge that is there, and how often each histogram was fed."""
    read = [sample for sample in table.read() if not sample.metric.absent or sample.value >= 0]
    return {(sample.metric.name, sample.labels): sample.value for sample in read}
