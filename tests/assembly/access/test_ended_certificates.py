"""Connections that are kept while the certificates end by which their clients are believed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from registry_mesh.assembly.access.tls import ListenerTls
from registry_mesh.assembly.node.background import in_background
from registry_mesh.listening.parting import part
from tests.assembly.access.test_renewed_tls import Kept
from tests.assembly.access.test_tls import Authorities

NOW = datetime.now(UTC).replace(microsecond=0)


class Clock:
    """Time as a listener sees it; TLS itself goes by the machine's."""

    def __init__(self) -> None:
        self.now = NOW.timestamp()

    def __call__(self) -> float:
        return self.now


@dataclass
class Signer:
    """An authority for so many days."""

    name: str
    days: int
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def certificate(self) -> bytes:
        return self.signed(self.name, self.days, self.key, ca=True)

    def client(self, folder: Path, name: str, days: int) -> dict[str, str]:
        """Files of a client's certificate."""
        key, stem = ec.generate_private_key(ec.SECP256R1()), folder / name
        (folder / f"{name}.pem").write_bytes(self.signed(name, days, key, ca=False))
        (folder / f"{name}.key").write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        return {"certificate": f"{stem}.pem", "key": f"{stem}.key"}

    def signed(self, name: str, days: int, key: ec.EllipticCurvePrivateKey, ca: bool) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
        )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


@dataclass
class World:
    """A listener whose clients may show certificates of two authorities."""

    folder: Path
    servers: Authorities
    clock: Clock
    first: Signer
    second: Signer
    port: int = 0

    async def by(self, signer: Signer, name: str, days: int) -> Kept:
        """A connection of a client with such a certificate, on which something was answered."""
        return await self.at(self.servers.client(signer.client(self.folder, name, days)))

    async def at(self, context: ssl.SSLContext) -> Kept:
        kept = Kept(*await asyncio.open_connection("127.0.0.1", self.port, ssl=context))
        await kept.asks()
        return kept


async def answer_ok(_: web.BaseRequest) -> web.Response:
    return web.Response(text="ok")


@asynccontextmanager
async def listening(world: World) -> AsyncIterator[int]:
    pem = world.folder / "clients.pem"
    pem.write_bytes(world.first.certificate() + world.second.certificate())
    shown = world.servers.pair(world.servers.servers, "127.0.0.1")

    def read(_: object) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(shown["certificate"], shown["key"])
        context.load_verify_locations(pem)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    tls = ListenerTls([str(pem)], read, str(pem), world.clock)
    server = web.Server(answer_ok)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0, ssl=tls.context)
    follow = partial(
        tls.follow, lambda believes: part(server.connections, lambda _: False, believes), expired=0.0
    )
    try:
        async with in_background(follow):
            yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        await server.shutdown(0)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    servers = Authorities(tmp_path, trustme.CA(), trustme.CA())
    found = World(tmp_path, servers, Clock(), Signer("first", 20), Signer("second", 900))
    async with listening(found) as found.port:
        yield found


async def test_a_connection_ends_with_the_certificate_of_its_client(world: World) -> None:
    """And no other: neither one whose certificate lasts longer, nor one that showed none."""
    short = await world.by(world.first, "short.example", 2)
    others = [await world.by(world.first, "long.example", 9), await world.at(world.servers.client())]
    world.clock.now += timedelta(days=3).total_seconds()
    await short.ends()
    for each in others:
        await each.asks()
        each.writer.close()


async def test_connections_end_with_the_authority_that_made_their_certificates(world: World) -> None:
    """Not those of the other one, which the same file names."""
    gone = await world.by(world.first, "gone.example", 800)
    others = [await world.by(world.second, "stays.example", 800), await world.at(world.servers.client())]
    world.clock.now += timedelta(days=21).total_seconds()
    await gone.ends()
    for each in others:
        await each.asks()
        each.writer.close()
