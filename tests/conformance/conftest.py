"""What is tested: the registry at REGISTRY_URL, else origins in this process, in memory and on a disk.

    REGISTRY_URL=http://127.0.0.1:5000 pytest tests/conformance

It must let anonymous clients push and delete. Every test works in repositories of its own.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from registry_mesh.auth.access import AnonymousAccess, Level
from registry_mesh.edge.server import Server
from registry_mesh.edge.settings import Settings
from registry_mesh.roles.origin import Origin
from tests.conformance.registry import Registry
from tests.simulators.origins import REGISTRY, disk_origin, memory_origin

GIVEN = os.environ.get("REGISTRY_URL", "").rstrip("/")


@pytest_asyncio.fixture(params=[GIVEN] if GIVEN else ["memory", "disk"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    if GIVEN:
        yield GIVEN
        return
    if request.param == "disk":
        store = await disk_origin(tmp_path / "origin", may_read=lambda who, name: True)
    else:
        store = memory_origin(may_read=lambda who, name: True)
    role = Origin(REGISTRY, store.repository, store.names)
    server = Server(role, Settings(policy=AnonymousAccess(Level.ADMIN)))
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
