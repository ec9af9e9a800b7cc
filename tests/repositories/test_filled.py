"""What rules bring to an origin, beside people who push."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RepositoryName, Tag
from registry_mesh.oci.refusals import Conflict
from registry_mesh.ports.pushes import Pusher
from registry_mesh.repositories.filled import FilledRepositories
from registry_mesh.repositories.keys import RepositoryKeys
from registry_mesh.repositories.of_origin import Repositories
from registry_mesh.stores.memory.records import MemoryRecords
from tests.simulators.origins import ALICE, REGISTRY, memory_origin

NAME, TAG, SOURCE = RepositoryName("base/alma"), Tag("9"), "https://docker.example"
BROUGHT, PUSHED, OLD = (Descriptor("application/x", Digest.of(each), 1) for each in (b"a", b"b", b"c"))


def point(origin: Repositories, to: Descriptor | None, who: Pusher = ALICE) -> Awaitable[object]:
    return origin.parts(NAME).tags.move(TAG, to, who, lambda standing: None)


async def bring(origin: Repositories) -> None:
    await FilledRepositories(REGISTRY, origin).repository(REGISTRY, NAME).tag(TAG, BROUGHT, SOURCE)


class Interrupted(MemoryRecords):
    """Records of which one is asked for when something happens, once."""

    def __init__(self, key: str, meanwhile: Callable[[], Awaitable[object]]) -> None:
        super().__init__()
        self._key = key
        self._meanwhile: Callable[[], Awaitable[object]] | None = meanwhile

    async def get(self, key: str) -> bytes | None:
        if key == self._key and self._meanwhile is not None:
            meanwhile, self._meanwhile = self._meanwhile, None
            await meanwhile()
        return await super().get(key)


@pytest.mark.parametrize("before", ["nothing", "deleted", "brought"])
async def test_what_is_pushed_meanwhile_stays(before: str) -> None:
    origin = memory_origin()
    existence = RepositoryKeys(NAME).existence  # looked at after the tag, before it is moved
    origin.records = Interrupted(existence, lambda: point(origin, PUSHED))
    if before != "nothing":
        await point(origin, OLD, Pusher(f"replication from {SOURCE}"))
    if before == "deleted":
        await point(origin, None)
    with pytest.raises(Conflict, match="moved meanwhile"):
        await bring(origin)
    entry = await origin.parts(NAME).tags.current(TAG)
    assert entry is not None and (entry.digest, entry.by) == (PUSHED.digest, "alice")


async def test_what_was_deleted_is_brought_again() -> None:
    origin = memory_origin()
    await point(origin, OLD)
    await point(origin, None)
    await bring(origin)
    entry = await origin.parts(NAME).tags.current(TAG)
    assert entry is not None and entry.digest == BROUGHT.digest
