"""The origin as the edge sees it."""

from __future__ import annotations

import pytest

from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.oci.refusals import NameUnknown
from registry_mesh.ports.role import Role
from registry_mesh.roles.origin import Origin
from tests.simulators.origins import REGISTRY, memory_origin, push_image


def origin_role() -> Role:
    store = memory_origin()
    return Origin(REGISTRY, store.repository, store.names)


async def test_it_answers_for_its_own_registry_only() -> None:
    role = origin_role()
    assert role.name == "origin"
    assert role.registries == {REGISTRY}
    assert role.repository(None, RepositoryName("a")).registry == REGISTRY
    assert role.repository(REGISTRY, RepositoryName("a")).pushes is not None
    with pytest.raises(NameUnknown):
        role.repository("docker.io", RepositoryName("a"))
    with pytest.raises(NameUnknown):
        role.repositories(RegistryName("docker.io"))


async def test_it_lists_what_was_pushed() -> None:
    role = origin_role()
    await push_image(role.repository(None, RepositoryName("b/c")), "x", "t")
    await push_image(role.repository(None, RepositoryName("a")), "x", "t")
    assert [name async for name in role.repositories(None)] == ["a", "b/c"]
