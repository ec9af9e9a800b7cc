"""Certificates, keys and authorities of both listeners that are renewed while a node serves."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
import trustme

from registry_mesh.assembly.access.tls import ListenerTls, admin_tls
from registry_mesh.assembly.node.background import in_background
from registry_mesh.assembly.node.build import Node, running
from registry_mesh.assembly.supervision.loops import LoopName, loop_factory
from registry_mesh.config.load import parse
from registry_mesh.config.schema import Config
from registry_mesh.tasks.threads import offload
from tests.assembly.access.test_tls import Authorities
from tests.eventually import eventually

LISTENERS = ("clients", "operators")


@pytest.fixture
def authorities(tmp_path: Path) -> Authorities:
    found = Authorities(tmp_path, trustme.CA(), trustme.CA())
    found.pair(found.servers, "127.0.0.1")
    found.nodes.cert_pem.write_to_path(str(tmp_path / "nodes.pem"))
    return found


def config(folder: Path) -> Config:
    tls = {
        "certificate": str(folder / "127.0.0.1.pem"),
        "key": str(folder / "127.0.0.1.key"),
        "clients": str(folder / "nodes.pem"),
    }
    whole = {
        "role": "origin",
        "name": "origin",
        "store": {"disk": {"path": str(folder / "store")}},
        "listen": {"port": 0, "tls": {**tls, "require": True}},
        "admin": {"port": 0, "tls": {**tls, "names": ["*"]}},
    }
    return parse(json.dumps(whole), "node.yaml").config


@dataclass
class World:
    node: Node
    authorities: Authorities

    def port(self, listener: str) -> int:
        url = self.node.url if listener == "clients" else self.node.admin_url
        return int(url.rpartition(":")[2])

    def shows(self, listener: str) -> bytes:
        """The certificate that a new connection is shown."""
        context = self.authorities.client(self.authorities.pair(self.authorities.nodes, "site.example"))
        return shown(self.port(listener), context)


@pytest_asyncio.fixture
async def world(authorities: Authorities) -> AsyncIterator[World]:
    async with running(config(authorities.folder)) as node:
        yield World(node, authorities)


def shown(port: int, context: ssl.SSLContext) -> bytes:
    with (
        socket.create_connection(("127.0.0.1", port), 60) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as sock,
    ):
        return sock.getpeercert(True) or b""


def asked(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLSession:
    """The session of a connection on which a request was answered: a client's certificate is looked at by then."""
    with (
        socket.create_connection(("127.0.0.1", port), 60) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as sock,
    ):
        sock.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        if not sock.recv(100).startswith(b"HTTP/1.1 "):
            raise ConnectionResetError
        assert sock.session is not None
        return sock.session


async def test_a_renewed_certificate_is_shown_within_seconds(world: World) -> None:
    before = {each: await offload(world.shows, each) for each in LISTENERS}
    world.authorities.pair(world.authorities.servers, "127.0.0.1")
    for each in LISTENERS:
        await eventually(
            lambda each=each: offload(world.shows, each), until=lambda one, of=each: one != before[of]
        )


async def test_files_that_cannot_be_used_change_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A certificate whose key comes later is the usual case."""
    caplog.set_level(logging.INFO, "registry_mesh")
    before = {each: await offload(world.shows, each) for each in LISTENERS}
    key = world.authorities.folder / "127.0.0.1.key"
    good = key.read_bytes()
    key.write_text("half of a")

    async def said(words: str, times: int) -> None:
        await eventually(lambda: sum(words in each.getMessage() for each in caplog.records) >= times)

    await said("of a listener cannot be used", len(LISTENERS))
    assert {each: await offload(world.shows, each) for each in LISTENERS} == before
    key.unlink()
    await said("of a listener cannot be used", 2 * len(LISTENERS))
    key.write_bytes(good)
    await said("of a listener were read again", len(LISTENERS))
    assert {each: await offload(world.shows, each) for each in LISTENERS} == before


def old(context: ssl.SSLContext) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("version", [lambda _: None, old], ids=["1.3", "1.2"])
async def test_an_authority_that_is_gone_opens_nothing_more(
    world: World, version: Callable[[ssl.SSLContext], None]
) -> None:
    """Neither to a new connection, nor to one that goes on with a session of before."""
    gone = world.authorities.client(world.authorities.pair(world.authorities.nodes, "site.example"))
    version(gone)
    sessions = {each: await offload(asked, world.port(each), gone) for each in LISTENERS}
    heir = trustme.CA()
    heir.cert_pem.write_to_path(str(world.authorities.folder / "nodes.pem"))
    believed = world.authorities.client(world.authorities.pair(heir, "oona.example"))

    async def is_in(listener: str, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> bool:
        try:
            await offload(asked, world.port(listener), context, session)
        except (OSError, ssl.SSLError):
            return False
        return True

    for each in LISTENERS:
        await eventually(lambda each=each: is_in(each, believed))
        assert not await is_in(each, gone)
        assert not await is_in(each, gone, sessions[each])


@dataclass
class Kept:
    """A connection on which requests are answered."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def asks(self) -> None:
        self.writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(60):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            await self.reader.readexactly(length)

    async def ends(self) -> None:
        async with asyncio.timeout(60):
            assert await self.reader.read() == b""


async def kept(world: World, listener: str, context: ssl.SSLContext) -> Kept:
    found = Kept(*await asyncio.open_connection("127.0.0.1", world.port(listener), ssl=context))
    await found.asks()
    return found


async def test_connections_of_an_authority_that_is_gone_end(world: World) -> None:
    """And no others: those of one that stays, and at the operators' those that showed no certificate."""
    made, heir = world.authorities, trustme.CA()
    file = made.folder / "nodes.pem"
    file.write_bytes(made.nodes.cert_pem.bytes() + heir.cert_pem.bytes())
    old, new = made.client(made.pair(made.nodes, "a.example")), made.client(made.pair(heir, "b.example"))

    async def opened(listener: str) -> tuple[Kept, Kept] | None:
        try:
            return await kept(world, listener, old), await kept(world, listener, new)
        except (OSError, asyncio.IncompleteReadError):
            return None

    pairs = {each: await eventually(lambda each=each: opened(each)) for each in LISTENERS}
    nobody = await kept(world, "operators", made.client())
    file.write_bytes(heir.cert_pem.bytes())
    for gone, stays in pairs.values():
        await gone.ends()
        await stays.asks()
        stays.writer.close()
    await nobody.asks()
    nobody.writer.close()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_on_either_loop(authorities: Authorities, loop: LoopName) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")

    async def serve() -> None:
        tls = admin_tls(config(authorities.folder).admin)
        assert isinstance(tls, ListenerTls)
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=tls.context)
        port = server.sockets[0].getsockname()[1]
        before = await offload(shown, port, authorities.client())
        authorities.pair(authorities.servers, "127.0.0.1")
        async with server, in_background(tls.follow):
            await eventually(
                lambda: offload(shown, port, authorities.client()), until=lambda one: one != before
            )

    with asyncio.Runner(loop_factory=loop_factory(loop)) as runner:
        runner.run(serve())
