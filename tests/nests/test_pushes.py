"""Pushes to every kind of origin."""

from __future__ import annotations

from itertools import count

import pytest
import pytest_asyncio

from registry_mesh.oci.reference import RepositoryName
from registry_mesh.ports.repositories import Repository
from registry_mesh.repositories.of_origin import Repositories
from tests.simulators.nests import Ground
from tests.suites.library import REGISTRY
from tests.suites.pushes import PushesSuite

pytestmark = pytest.mark.asyncio(loop_scope="module")

_numbers = count()


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=["memory", "disk", pytest.param("bucket", marks=pytest.mark.s3)],
)
async def origin(request: pytest.FixtureRequest, ground: Ground) -> Repositories:
    return await ground.repositories(request.param)


class TestPushes(PushesSuite):
    """Every test has two repositories of its own in one store."""

    @pytest.fixture
    def repository(self, origin: Repositories) -> Repository:
        return origin.repository(REGISTRY, RepositoryName(f"pushed/r{next(_numbers)}"))

    @pytest.fixture
    def other(self, origin: Repositories) -> Repository:
        return origin.repository(REGISTRY, RepositoryName(f"pushed/r{next(_numbers)}"))
