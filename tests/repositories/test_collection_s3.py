"""Garbage collection of an origin in a bucket: batches of deletes, a dry run, other hosts that see the outcome."""

from __future__ import annotations

import pytest

from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import BlobUnknown, ManifestUnknown
from registry_mesh.repositories.collection import Collection
from registry_mesh.repositories.digest_life import Lifecycle
from registry_mesh.repositories.of_origin import Repositories
from registry_mesh.stores.bucket.store import S3Store
from registry_mesh.stores.memory.uploads import MemoryUploads
from tests.simulators.origins import ALICE, HandClock, nobody, push_blob, push_image, pushes, repository
from tests.suites.bytes_of import pattern

pytestmark = pytest.mark.s3

DAY = 24 * 3600.0


async def test_what_is_loose_in_a_bucket_goes_and_what_is_named_stays(
    s3_store: S3Store, s3_other: S3Store
) -> None:
    clock = HandClock()

    def origin(store: S3Store) -> Repositories:
        uploads = MemoryUploads(store, clock)
        return Repositories(
            store.records, store, uploads, Lifecycle(store.records, clock, None, clock.sleep), None, nobody
        )

    here, there = origin(s3_store), origin(s3_other)
    repo = repository(here)
    kept = await push_image(repo, "kept", "1")
    gone = await push_image(repo, "gone", "2")
    loose = [await push_blob(repo, pattern(100_000 + n)) for n in range(30)]
    await pushes(repo).delete_tag(ALICE, Tag("2"))
    await pushes(repo).delete_manifest(ALICE, gone.digest)

    await Collection(here).run()  # notes what is loose
    clock.now += 40 * DAY
    told = await Collection(here, dry_run=True).run()
    assert (told.removed, told.repositories["atlas/athena"].loose) == (0, 32)
    assert (await s3_store.stat(loose[0].digest)).size == loose[0].size
    done = await Collection(here).run()
    assert done.removed == len(loose)  # what a tag pointed at goes one grace after its history
    for _ in range(2):
        clock.now += 40 * DAY
        last = await Collection(here).run()
    assert last.waiting == 0

    for each in loose:
        with pytest.raises(BlobUnknown):
            await s3_other.stat(each.digest)
    other = repository(there)
    with pytest.raises(ManifestUnknown):
        await other.manifests.manifest(gone.digest)
    assert (await other.tags.resolve(Tag("1"))).descriptor.digest == kept.digest
    for each in kept.blobs():
        assert (await s3_other.stat(each.digest)).size == each.size
