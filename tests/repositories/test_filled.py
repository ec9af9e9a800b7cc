"""What rules bring to an origin, beside people who push."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import pytest

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import OCI_INDEX
from registry_mesh.oci.reference import RepositoryName, Tag
from registry_mesh.oci.refusals import Conflict
from registry_mesh.ports.happenings import Happening
from registry_mesh.ports.pieces import put
from registry_mesh.ports.pushes import Pusher
from registry_mesh.repositories.account import QuotaExceeded
from registry_mesh.repositories.filled import FilledRepositories
from registry_mesh.repositories.keys import RepositoryKeys
from registry_mesh.repositories.of_origin import Repositories
from registry_mesh.stores.memory.records import MemoryRecords
from tests.simulators.origins import ALICE, REGISTRY, memory_origin

NAME, TAG, SOURCE = RepositoryName("base/alma"), Tag("9"), "https://docker.example"
INDEX = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
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


class Told:
    """Takes what happened, in order."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str]] = []

    async def begin(self, happening: Happening) -> str:
        self.all.append(("begun", happening.by))
        return "id"

    async def add(self, happening: Happening, begun: str = "") -> None:
        tags = ",".join(happening.tags)
        self.all.append((f"{happening.kind} {begun}", f"{happening.repository}:{tags} {happening.digest}"))


async def test_what_is_brought_is_told_as_a_push_is() -> None:
    told = Told()
    origin = memory_origin(outbox=told)
    await bring(origin)
    by = f"replication from {SOURCE}"
    assert told.all == [("begun", by), ("push id", f"base/alma:9 {BROUGHT.digest}")]
    await point(origin, PUSHED)
    with pytest.raises(Conflict):
        await bring(origin)
    assert len(told.all) == 2, "nothing was brought"


async def test_what_is_brought_counts_and_does_not_exceed_a_quota() -> None:
    origin = memory_origin(quotas={"base": 3_000})
    filled = FilledRepositories(REGISTRY, origin).repository(REGISTRY, NAME)
    fits, more = Digest.of(b"a" * 2_000), Digest.of(b"b" * 2_000)
    for digest, letter in ((fits, b"a"), (more, b"b")):
        await put(origin.blobs, digest, letter * 2_000)
    for _ in range(2):
        await filled.link(fits)
    with pytest.raises(QuotaExceeded, match=r"project base uses 2\.0 KiB of its 2\.9 KiB"):
        await filled.link(more)
    assert await origin.parts(NAME).blobs.linked_at(more) is None
    manifest = Manifest.parse(json.dumps({**INDEX, "annotations": {"a": "x" * 2_000}}).encode(), OCI_INDEX)
    await put(origin.blobs, manifest.digest, manifest.data)
    with pytest.raises(QuotaExceeded):
        await filled.put_manifest(manifest)
    assert [each.used for each in await origin.quotas.used()] == [2_000]


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
