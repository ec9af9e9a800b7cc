"""What is tested: the registry at REGISTRY_URL, else an origin in this process.

    REGISTRY_URL=http://127.0.0.1:5000 pytest tests/conformance

It must let anonymous clients push and delete. Every test works in repositories of its own.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator

import pytest_asyncio

from registry_mesh.auth.access import AnonymousAccess, Level
from registry_mesh.edge.server import Server
from registry_mesh.edge.settings import Settings
from tests.conformance.registry import Registry
from tests.simulators.role import SimulatedRole


@pytest_asyncio.fixture
async def url() -> AsyncIterator[str]:
    given = os.environ.get("REGISTRY_URL")
    if given:
        yield given.rstrip("/")
        return
    server = Server(SimulatedRole(), Settings(policy=AnonymousAccess(Level.ADMIN)))
    await server.start()
    yield f"http://127.0.0.1:{server.port}"
    await server.close()


@pytest_asyncio.fixture
async def registry(url: str) -> AsyncIterator[Registry]:
    async with Registry(url, f"conformance/r{secrets.token_hex(6)}") as registry:
        yield registry


@pytest_asyncio.fixture
async def other(url: str) -> AsyncIterator[Registry]:
    """A second repository of the same registry."""
    async with Registry(url, f"conformance/s{secrets.token_hex(6)}") as registry:
        yield registry
