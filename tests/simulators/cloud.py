"""A native registry that rules push out to: a real one, behind a gateway that misbehaves as it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

import aiohttp

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_INDEX, OCI_MANIFEST
from registry_mesh.oci.reference import RegistryName
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.login.logins import Login
from registry_mesh.upstream.pushes.registries import PushedRegistries
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession
from registry_mesh.upstream.way import Way
from tests.simulators.gateway import Gateway, gateway
from tests.simulators.replica import Replica
from tests.simulators.upstream import PATIENT

CLOUD = RegistryName("cloud.example")
CHUNK = 64 << 10
"""Bytes of one request."""
_numbers = count()


@dataclass
class Cloud:
    """Each has a folder of its own at the registry."""

    gateway: Gateway
    there: str
    client: aiohttp.ClientSession
    chunk: int = CHUNK
    folder: str = field(default_factory=lambda: f"t{next(_numbers)}")

    def to(self, name: str = "{repo}", tag: str = "{tag}") -> str:
        """As a rule says it."""
        return f'to: {{registry: {CLOUD}, name: "{self.folder}/{name}", tag: "{tag}"}}'

    async def digest(self, name: str, reference: str) -> str | None:
        url = f"{self.there}/v2/{self.folder}/{name}/manifests/{reference}"
        async with self.client.get(url, headers={"Accept": f"{OCI_INDEX}, {OCI_MANIFEST}"}) as answer:
            return str(Digest.of(await answer.read())) if answer.status == 200 else None

    async def blob(self, name: str, digest: Digest) -> bytes:
        async with self.client.get(f"{self.there}/v2/{self.folder}/{name}/blobs/{digest}") as answer:
            return await answer.read()

    def asked(self, method: str) -> list[str]:
        """The paths of the requests that came by a method."""
        return [path for each in self.gateway.seen for how, _, path in [each.partition(" ")] if how == method]

    @asynccontextmanager
    async def pushing(self, replica: Replica, login: Login | None = None) -> AsyncIterator[Replica]:
        """A process of the replica's that may push here; what the last one knew it has from records alone."""
        async with open_session(Way(hosts=frozenset({"127.0.0.1"}))) as session:
            parent = UpstreamRegistry(ParentSession(session, self.gateway.url, login, PATIENT), CLOUD)
            replica.outward = PushedRegistries({CLOUD: parent}, replica.blobs.records, self.chunk)
            yield replica


@asynccontextmanager
async def cloud_of(there: str) -> AsyncIterator[Cloud]:
    """Over the registry at the URL `there`."""
    async with aiohttp.ClientSession() as client, gateway(there) as before:
        yield Cloud(before, there, client)
