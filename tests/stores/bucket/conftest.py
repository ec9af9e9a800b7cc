"""Fixtures of the bucket."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from registry_mesh.stores.bucket.settings import S3Settings
from tests.simulators.gateway import Gateway, gateway


@pytest.fixture
async def front(s3_settings: S3Settings) -> AsyncIterator[Gateway]:
    """Before the session's bucket: ill as the test says."""
    assert s3_settings.endpoint
    async with gateway(s3_settings.endpoint) as front:
        yield front
