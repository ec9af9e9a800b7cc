"""A parent of ours over a simulated registry."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.ports.repositories import Repository
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.health.liveness import Patience
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession
from registry_mesh.upstream.way import Way
from tests.simulators.registry import SimulatedRegistry

PATIENT: Final = Patience(
    connect=60, suspect=30, silent=30, ping=30, head=60, stall=30, drip=60, first=30, soon=30
)
"""For a parent that is to answer: more than any pause takes. Only one that is to be given up has less."""


@asynccontextmanager
async def upstream_of(
    registry: SimulatedRegistry, name: str = "registry.example", fields: Mapping[str, str] | None = None
) -> AsyncIterator[UpstreamRegistry]:
    async with open_session(Way(hosts=frozenset({"127.0.0.1"}))) as session:
        parent = ParentSession(session, registry.url, None, PATIENT, ns="always")
        yield UpstreamRegistry(parent, RegistryName(name), fields)


@asynccontextmanager
async def repository_of(registry: SimulatedRegistry) -> AsyncIterator[Repository]:
    """Its repository `team/app`."""
    async with upstream_of(registry) as upstream:
        yield upstream.repository(RepositoryName("team/app"))
