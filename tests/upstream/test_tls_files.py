"""An own authority and a client certificate, renewed while the parents are in use."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
import trustme

from registry_mesh.auth.hosts import place
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.tasks.renewed_files import LOOK
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession
from registry_mesh.upstream.tls_files import TlsFiles
from registry_mesh.upstream.way import Way
from tests.simulators.parent import plain_parent

DATA = b"behind TLS"


class World:
    """A site's files, and parents that believe and are believed by one authority each."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.now = 100.0
        self.ca, self.certificate, self.key = (folder / f"{name}.pem" for name in ("ca", "cert", "key"))
        self._stack = stack

    def write(self, authority: trustme.CA) -> None:
        authority.cert_pem.write_to_path(str(self.ca))
        ours = authority.issue_cert("site.example")
        ours.private_key_pem.write_to_path(str(self.key))
        self.certificate.write_bytes(b"".join(pem.bytes() for pem in ours.cert_chain_pems))

    async def parent(self, authority: trustme.CA) -> str:
        """Its URL. It demands a client certificate of the same authority."""
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(tls)
        authority.configure_trust(tls)
        tls.verify_mode = ssl.CERT_REQUIRED
        parent = await self._stack.enter_async_context(plain_parent(tls))
        parent.add(DATA)
        return f"https://127.0.0.1:{parent.port}"

    async def sizes(self, *urls: str) -> TlsFiles:
        """Open the way to these parents."""
        files = TlsFiles(str(self.ca), str(self.certificate), str(self.key), lambda: self.now)
        way = Way(tls=files, parents=frozenset(map(place, urls)))
        self._client = await self._stack.enter_async_context(open_session(way))
        return files

    async def size(self, url: str) -> int:
        session = ParentSession(self._client, url, ns="never")
        source = UpstreamRegistry(session, RegistryName("r.example"))
        return (await source.repository(RepositoryName("team/app")).blobs.stat(Digest.of(DATA))).size


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield World(tmp_path, stack)


async def test_renewed_files_hold_for_new_connections(world: World) -> None:
    old, new = trustme.CA(), trustme.CA()
    world.write(old)
    before, after = await world.parent(old), await world.parent(new)
    await world.sizes(before, after)
    assert await world.size(before) == len(DATA)
    with pytest.raises(SourceUnavailable, match="signed by nobody that this node trusts"):
        await world.size(after)
    world.write(new)
    world.now += LOOK
    assert await world.size(after) == len(DATA)


async def test_files_that_cannot_be_used_change_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "registry_mesh")
    authority = trustme.CA()
    world.write(authority)
    url = await world.parent(authority)
    await world.sizes(url)
    for damage in (lambda: world.certificate.write_text("half of a"), world.key.unlink):
        damage()
        for _ in range(3):
            world.now += LOOK
            assert await world.size(url) == len(DATA)
    said = [record for record in caplog.records if "cannot be used" in record.getMessage()]
    assert len(said) == 2, "each once"
    world.write(authority)
    world.now += LOOK
    assert await world.size(url) == len(DATA)
    assert any("read again" in record.getMessage() for record in caplog.records)


async def test_nobody_but_the_parents_is_shown_the_certificate(world: World) -> None:
    authority = trustme.CA()
    world.write(authority)
    parent, other = await world.parent(authority), await world.parent(authority)
    await world.sizes(parent)
    assert await world.size(parent) == len(DATA)
    with pytest.raises(SourceUnavailable):
        await world.size(other)
