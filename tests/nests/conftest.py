"""The nests, each made once for a module: nothing here changes what it has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from registry_mesh.ports.repositories import RegistrySource
from registry_mesh.stores.bucket.settings import S3Credentials, S3Settings, SpoolSettings
from tests.simulators.bucket import Bucket
from tests.simulators.nests import BUCKETS, REGISTRIES, Ground

NESTS = [*REGISTRIES, *(pytest.param(name, marks=pytest.mark.s3) for name in BUCKETS)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ground(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Ground]:
    def settings(spool: Path | None) -> S3Settings:
        bucket: Bucket = request.getfixturevalue("bucket")
        return S3Settings(
            bucket=bucket.name,
            endpoint=bucket.endpoint,
            region=bucket.region,
            prefix=bucket.prefix(),
            credentials=S3Credentials(bucket.access_key, bucket.secret_key),
            spool=SpoolSettings(spool) if spool is not None else None,
        )

    async with AsyncExitStack() as stack:
        yield Ground(stack, tmp_path_factory.mktemp("ground"), settings)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=NESTS)
async def registry(request: pytest.FixtureRequest, ground: Ground) -> RegistrySource:
    """One nest after the other."""
    return await (REGISTRIES | BUCKETS)[request.param](ground)
