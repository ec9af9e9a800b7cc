"""Stores on a real bucket."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from registry_mesh.stores.s3 import S3Store
from registry_mesh.stores.s3_settings import S3Credentials, S3Settings
from tests.simulators.bucket import Bucket


@pytest.fixture
def s3_settings(bucket: Bucket) -> S3Settings:
    """A prefix of the test's own in the session's bucket."""
    return S3Settings(
        bucket=bucket.name,
        endpoint=bucket.endpoint,
        region=bucket.region,
        prefix=bucket.prefix(),
        credentials=S3Credentials(bucket.access_key, bucket.secret_key),
    )


@pytest.fixture
async def s3_store(s3_settings: S3Settings) -> AsyncIterator[S3Store]:
    store = await S3Store.start(s3_settings)
    yield store
    await store.close()


@pytest.fixture
async def s3_other(s3_settings: S3Settings) -> AsyncIterator[S3Store]:
    """Another host on the same bucket."""
    store = await S3Store.start(replace(s3_settings))
    yield store
    await store.close()
