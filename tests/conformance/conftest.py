"""What is tested: the registry at REGISTRY_URL, else origins in this process: in memory, on a disk, in a bucket.

    REGISTRY_URL=http://127.0.0.1:5000 pytest tests/conformance

It must let anonymous clients push and delete, and keep tags `immutable-*`. Every test works in repositories of its own.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from registry_mesh.auth.access import AnonymousAccess, Level
from registry_mesh.edge.server import Server
from registry_mesh.edge.settings import Settings
from registry_mesh.repositories.of_origin import Repositories
from registry_mesh.repositories.push_policy import PushPolicy
from registry_mesh.roles.origin import Origin
from registry_mesh.stores.bucket.settings import S3Credentials, S3Settings
from registry_mesh.stores.bucket.store import S3Store
from tests.conformance.registry import Registry
from tests.simulators.bucket import Bucket
from tests.simulators.origins import REGISTRY, bucket_origin, disk_origin, memory_origin

GIVEN = os.environ.get("REGISTRY_URL", "").rstrip("/")

STORES = ["memory", "disk", pytest.param("s3", marks=pytest.mark.s3)]


@pytest_asyncio.fixture(params=[GIVEN] if GIVEN else STORES)
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    if GIVEN:
        yield GIVEN
        return
    async with AsyncExitStack() as stack:
        origin = await _origin(request, tmp_path, stack)
        role = Origin(REGISTRY, origin.repository, origin.names)
        server = Server(role, Settings(policy=AnonymousAccess(Level.ADMIN)))
        await server.start()
        stack.push_async_callback(server.close)
        yield f"http://127.0.0.1:{server.port}"


async def _origin(request: pytest.FixtureRequest, tmp_path: Path, stack: AsyncExitStack) -> Repositories:
    policy = PushPolicy(immutable=("immutable-*",))
    if request.param == "memory":
        return memory_origin(policy, may_read=lambda who, name: True)
    if request.param == "disk":
        return await disk_origin(tmp_path / "origin", policy, may_read=lambda who, name: True)
    bucket: Bucket = request.getfixturevalue("bucket")
    credentials = S3Credentials(bucket.access_key, bucket.secret_key)
    settings = S3Settings(
        bucket.name, bucket.endpoint, bucket.prefix(), region=bucket.region, credentials=credentials
    )
    store = await S3Store.start(settings)
    stack.push_async_callback(store.close)
    return bucket_origin(store, policy, may_read=lambda who, name: True)


@pytest_asyncio.fixture
async def registry(url: str) -> AsyncIterator[Registry]:
    async with Registry(url, f"conformance/r{secrets.token_hex(6)}") as registry:
        yield registry


@pytest_asyncio.fixture
async def other(url: str) -> AsyncIterator[Registry]:
    """A second repository of the same registry."""
    async with Registry(url, f"conformance/s{secrets.token_hex(6)}") as registry:
        yield registry
