"""Two replicas over one bucket: what one deleted, and a person brought back, the other does not delete again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RepositoryName, Tag
from registry_mesh.ports.pushes import Pusher
from registry_mesh.repositories.of_replica import ReplicaRepositories
from registry_mesh.stores.bucket.store import S3Store
from tests.content.snapshot.removing.test_removing import ALL, WEEK, at, drop, filled
from tests.content.snapshot.test_rule_keys import replica_of
from tests.simulators.images import HOST
from tests.simulators.kept import DiaryRepositories, DiaryRepository
from tests.simulators.replica import Replica

pytestmark = pytest.mark.s3
NAME = RepositoryName("a")


def on(store: S3Store) -> Replica:
    """A replica over the bucket, by a connection of its own."""
    replica = replica_of(WEEK, more=ALL)
    replica.blobs = store  # type: ignore[assignment]  # whole blobs are all that is asked for here
    replica.repositories = DiaryRepositories(store.records, store)
    return replica


def meanwhile(do: Callable[[], Awaitable[None]]) -> type[DiaryRepository]:
    """A repository where `do` happens once, just before a tag is deleted."""
    left = [do]

    class Meanwhile(DiaryRepository):
        async def untag(self, tag: Tag, target: Digest, because: str, change: int | None = None) -> bool:
            while left:
                await left.pop()()
            return await super().untag(tag, target, because, change)

    return Meanwhile


@pytest.mark.parametrize("back", [True, False], ids=["brought back", "left deleted"])
async def test_what_one_deleted_the_other_leaves_as_it_is(
    back: bool, s3_store: S3Store, s3_other: S3Store
) -> None:
    one, other = await filled(on(s3_store), 3), on(s3_other)
    other.source = one.source
    before = await one.tags("a")
    drop(one, "t000")
    assert (await at(one, 1)).deleted == 0

    async def undone() -> None:
        assert (await at(one, 9)).deleted == 1
        if back:
            kept = ReplicaRepositories(s3_store.records, s3_store, lambda: one.now).repository(HOST, NAME)
            assert await kept.restore(Tag("t000"), Pusher("somebody")) == before[Tag("t000")]

    other.repositories.instead["a"] = meanwhile(undone)
    outcome = await at(other, 9)
    assert outcome.deleted == 0
    assert any("by somebody else meanwhile: left as it is" in note for note in outcome.notes)
    assert ("t000" in await other.tags("a")) is back
    for day in (10, 30):  # nor does any later run
        assert [(await at(each, day)).deleted for each in (one, other)] == [0, 0]
    assert ("t000" in await one.tags("a")) is back
