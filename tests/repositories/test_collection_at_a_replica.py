"""What a replica deleted is collected by the same code as at an origin; what its rules leave out is no fault."""

from __future__ import annotations

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RepositoryName, Tag
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.repositories.collection import Collection
from registry_mesh.repositories.digest_life import Grace, Lifecycle
from registry_mesh.repositories.of_origin import Repositories
from registry_mesh.repositories.push_policy import PushPolicy
from registry_mesh.stores.memory.uploads import MemoryUploads
from tests.content.snapshot.test_rule_keys import replica_of
from tests.simulators.images import HOST, Content, random_bytes
from tests.simulators.replica import Replica, rule

DAY = 86400.0


async def held(replica: Replica, data: bytes) -> bool:
    try:
        await replica.blobs.stat(Digest.of(data))
    except BlobUnknown:
        return False
    return True


async def test_bytes_of_a_deleted_tag_go_after_the_grace_and_shared_ones_stay() -> None:
    replica = Replica(rule("app"))
    content = replica.source.content[RepositoryName("app")] = Content()
    shared, own = random_bytes("shared", 5_000), random_bytes("own", 5_000)
    content.image("stays", "v1", layers=[shared])
    content.image("goes", "v2", layers=[shared, own])
    await replica.run()
    goes = (await replica.tags("app"))["v2"]
    await replica.repositories.repository(HOST, RepositoryName("app")).untag(Tag("v2"), goes, "revoked")
    now = [1_000.0]
    lifecycle = Lifecycle(replica.blobs.records, lambda: now[0], Grace(period=DAY))
    uploads = MemoryUploads(replica.blobs, lambda: now[0])
    policy = PushPolicy((), 20, DAY)

    async def collect() -> int:
        stored = Repositories(replica.blobs.records, replica.blobs, uploads, lifecycle, policy)
        return (await Collection(stored).run()).removed

    assert await collect() == 0
    assert await held(replica, own), "it can be brought back"
    for _ in range(4):
        now[0] += 2 * DAY
        await collect()
    assert not await held(replica, own)
    assert await held(replica, shared)
    assert set(await replica.tags("app")) == {"v1"}


async def test_what_a_rule_pins_without_a_tag_is_kept_with_all_it_names() -> None:
    content = Content()
    layer = random_bytes("pinned", 5_000)
    pinned = content.image("pinned", layers=[layer])
    replica = replica_of(f'repos: app, tags: "@{pinned.digest}"')
    replica.source.content[RepositoryName("app")] = content
    await replica.run()
    now = [1_000.0]
    lifecycle = Lifecycle(replica.blobs.records, lambda: now[0], Grace(period=DAY))
    uploads = MemoryUploads(replica.blobs, lambda: now[0])
    stored = Repositories(replica.blobs.records, replica.blobs, uploads, lifecycle, PushPolicy((), 20, DAY))
    for _ in range(4):
        now[0] += 2 * DAY
        assert (await Collection(stored).run()).removed == 0
    assert await held(replica, layer)
    assert await replica.has("app", pinned)
