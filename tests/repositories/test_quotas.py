"""Quotas of projects, over an origin in memory."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RepositoryName, Tag
from registry_mesh.oci.refusals import Denied
from registry_mesh.ports.uploads import EXPIRY
from registry_mesh.repositories.account import QuotaExceeded
from registry_mesh.repositories.of_origin import Repositories
from registry_mesh.repositories.quotas import Quotas
from registry_mesh.stores.disk.exclusive import alone_below
from tests.eventually import eventually
from tests.simulators.origins import (
    ALICE,
    HandClock,
    disk_origin,
    image,
    memory_origin,
    push_blob,
    pushes,
    repository,
)

KIB = 1024


@pytest.fixture
def origin() -> Repositories:
    return memory_origin(quotas={"atlas": 10 * KIB, "atlas/scratch": 2 * KIB})


async def used(origin: Repositories) -> dict[str, int]:
    return {each.project: each.used for each in await origin.quotas.used()}


async def test_what_does_not_fit_is_refused_and_says_how_much_is_used(origin: Repositories) -> None:
    await push_blob(repository(origin, "atlas/athena"), b"a" * 9 * KIB)
    with pytest.raises(QuotaExceeded) as refused:
        await push_blob(repository(origin, "atlas/other"), b"b" * 2 * KIB)
    assert isinstance(refused.value, Denied)
    assert "project atlas uses 9.0 KiB of its 10.0 KiB" in refused.value.reason
    assert "add 2.0 KiB" in refused.value.reason
    assert refused.value.detail == {
        "project": "atlas", "quota": 10 * KIB, "used": 9 * KIB, "coming": 0, "asked": 2 * KIB,
    }  # fmt: skip
    await push_blob(repository(origin, "cms/any"), b"b" * 20 * KIB)
    assert await used(origin) == {"atlas": 9 * KIB, "atlas/scratch": 0}


async def test_nothing_is_taken_of_what_does_not_fit(origin: Repositories) -> None:
    repo = repository(origin, "atlas/athena")
    data = b"a" * 11 * KIB
    with pytest.raises(QuotaExceeded):
        async with pushes(repo).monolithic(ALICE, Digest.of(data), len(data)):
            pytest.fail("the body must not be read")
    upload = await pushes(repo).begin(ALICE)
    with pytest.raises(QuotaExceeded):
        async with pushes(repo).append(ALICE, upload.id, None, len(data)):
            pytest.fail("the body must not be read")


async def test_a_body_of_unknown_length_is_cut_off_at_the_quota(origin: Repositories) -> None:
    repo = repository(origin, "atlas/athena")
    upload = await pushes(repo).begin(ALICE)
    async with pushes(repo).append(ALICE, upload.id, None) as ingest:
        await ingest.write(b"a" * 10 * KIB)
        with pytest.raises(QuotaExceeded):
            await ingest.write(b"a")


async def test_several_chunks_are_one_blob(origin: Repositories) -> None:
    repo = repository(origin, "atlas/athena")
    upload = await pushes(repo).begin(ALICE)
    async with pushes(repo).append(ALICE, upload.id, 0, 6 * KIB) as ingest:
        await ingest.write(b"a" * 6 * KIB)
    with pytest.raises(QuotaExceeded):
        async with pushes(repo).append(ALICE, upload.id, 6 * KIB, 6 * KIB):
            pytest.fail("the body must not be read")


async def test_what_repositories_of_a_project_share_counts_once(origin: Repositories) -> None:
    blob = await push_blob(repository(origin, "atlas/one"), b"a" * 8 * KIB)
    for name in ("atlas/two", "atlas/three"):
        assert await pushes(repository(origin, name)).mount(ALICE, blob.digest, RepositoryName("atlas/one"))
        await push_blob(repository(origin, name), b"a" * 8 * KIB)
    assert (await used(origin))["atlas"] == 8 * KIB


async def test_a_mount_from_another_project_counts(origin: Repositories) -> None:
    blob = await push_blob(repository(origin, "cms/one"), b"a" * 11 * KIB)
    with pytest.raises(QuotaExceeded):
        await pushes(repository(origin, "atlas/two")).mount(ALICE, blob.digest, RepositoryName("cms/one"))


async def test_the_narrower_project_counts_too(origin: Repositories) -> None:
    with pytest.raises(QuotaExceeded, match="project atlas/scratch"):
        await push_blob(repository(origin, "atlas/scratch/mine"), b"a" * 3 * KIB)
    await push_blob(repository(origin, "atlas/scratches"), b"a" * 3 * KIB)


async def test_manifests_count(origin: Repositories) -> None:
    repo = repository(origin, "atlas/athena")
    config = await push_blob(repo, b"{}")
    small = image(config)
    await pushes(repo).put_manifest(ALICE, small, [Tag("small")])
    assert (await used(origin))["atlas"] == 2 + len(small.data)
    with pytest.raises(QuotaExceeded):
        await pushes(repo).put_manifest(
            ALICE, image(config, annotations={"x": "y" * 10 * KIB}), [Tag("large")]
        )


async def test_uploads_at_one_time_do_not_exceed_it_together(origin: Repositories) -> None:
    async def push(letter: bytes) -> bool:
        try:
            await push_blob(repository(origin, "atlas/athena"), letter * 4 * KIB)
        except QuotaExceeded:
            return False
        return True

    taken = await asyncio.gather(*(push(bytes([65 + i])) for i in range(10)))
    assert sum(taken) <= 2
    assert (await used(origin))["atlas"] <= 10 * KIB


async def test_what_another_process_took_or_removed_is_seen() -> None:
    one = memory_origin(quotas={"atlas": 10 * KIB})
    other = Repositories(
        one.records, one.blobs, one.uploads, one.lifecycle, one.policy, quotas={"atlas": 10 * KIB}
    )
    assert await used(other) == {"atlas": 0}
    blob = await push_blob(repository(one, "atlas/a"), b"a" * 9 * KIB)
    other.quotas = Quotas(other.records, {"atlas": 10 * KIB}, ticks=lambda: 0.0)
    with pytest.raises(QuotaExceeded):
        await push_blob(repository(other, "atlas/b"), b"b" * 9 * KIB)
    await pushes(repository(one, "atlas/a")).delete_blob(ALICE, blob.digest)
    await push_blob(repository(other, "atlas/b"), b"b" * 9 * KIB)


async def test_a_full_project_begins_no_upload(origin: Repositories) -> None:
    repo = repository(origin, "atlas/athena")
    await push_blob(repo, b"a" * 10 * KIB)
    with pytest.raises(QuotaExceeded):
        await pushes(repo).begin(ALICE)


async def test_processes_at_one_time_do_not_exceed_it_together(tmp_path: Path) -> None:
    """Several origins over one store stand for processes: each has accounts of its own."""
    first = await disk_origin(tmp_path)
    alone = alone_below(tmp_path / "run")
    origins = [
        Repositories(
            first.records,
            first.blobs,
            first.uploads,
            first.lifecycle,
            quotas={"atlas": 10 * KIB},
            alone=alone,
        )
        for _ in range(4)
    ]
    for origin in origins:
        assert await used(origin) == {"atlas": 0}

    async def push(i: int) -> bool:
        try:
            await push_blob(repository(origins[i % 4], f"atlas/a{i}"), bytes([65 + i]) * 3 * KIB)
        except QuotaExceeded:
            return False
        return True

    taken = await asyncio.gather(*(push(i) for i in range(8)))
    assert sum(taken) == 3
    assert (await used(Repositories(
        first.records, first.blobs, first.uploads, first.lifecycle, quotas={"atlas": 10 * KIB}
    ))) == {"atlas": 9 * KIB}  # fmt: skip


async def test_unfinished_uploads_count_until_they_end(origin: Repositories) -> None:
    """Sessions that are begun and left would hold any number of bytes beside the quota."""
    repo = repository(origin, "atlas/athena")
    left = []
    for _ in range(2):
        upload = await pushes(repo).begin(ALICE)
        async with pushes(repo).append(ALICE, upload.id, 0, 4 * KIB) as ingest:
            await ingest.write(b"a" * 4 * KIB)
        left.append(upload.id)
    third = await pushes(repo).begin(ALICE)
    with pytest.raises(QuotaExceeded, match=r"8\.0 KiB are on their way or in unfinished uploads"):
        async with pushes(repo).append(ALICE, third.id, 0, 4 * KIB):
            pytest.fail("the body must not be read")
    with pytest.raises(QuotaExceeded):
        await push_blob(repository(origin, "atlas/other"), b"b" * 4 * KIB)
    (atlas, _) = await origin.quotas.used()
    assert (atlas.used, atlas.unfinished, atlas.taken) == (0, 8 * KIB, 8 * KIB)
    async with pushes(repo).append(ALICE, left[0], 4 * KIB, 2 * KIB) as ingest:
        await ingest.write(b"a" * 2 * KIB)
        await ingest.commit()
    (atlas, _) = await origin.quotas.used()
    assert (atlas.used, atlas.unfinished) == (6 * KIB, 4 * KIB)
    await pushes(repo).cancel(ALICE, left[1])
    async with pushes(repo).append(ALICE, third.id, 0, 4 * KIB) as ingest:
        await ingest.write(b"c" * 4 * KIB)
        await ingest.commit()
    assert (await used(origin))["atlas"] == 10 * KIB


async def test_what_expired_counts_no_more() -> None:
    clock = HandClock()
    origin = memory_origin(quotas={"atlas": 10 * KIB}, clock=clock)
    repo = repository(origin, "atlas/athena")
    upload = await pushes(repo).begin(ALICE)
    async with pushes(repo).append(ALICE, upload.id, 0, 8 * KIB) as ingest:
        await ingest.write(b"a" * 8 * KIB)
    with pytest.raises(QuotaExceeded):
        await push_blob(repo, b"b" * 4 * KIB)
    clock.now += EXPIRY + 1
    await eventually(origin.quotas.used, until=lambda found: not found[0].unfinished)
    await push_blob(repo, b"b" * 4 * KIB)


async def test_the_last_chunk_of_what_fits_exactly_is_taken(origin: Repositories) -> None:
    """Its own bytes are not counted beside it."""
    repo = repository(origin, "atlas/athena")
    upload = await pushes(repo).begin(ALICE)
    for number in range(5):
        async with pushes(repo).append(ALICE, upload.id, number * 2 * KIB, 2 * KIB) as ingest:
            await ingest.write(bytes([number]) * 2 * KIB)
            if number == 4:
                await ingest.commit()
        await origin.quotas.used()
    assert (await used(origin))["atlas"] == 10 * KIB


async def test_bodies_of_unknown_length_do_not_exceed_it_together(origin: Repositories) -> None:
    repo = repository(origin, "atlas/athena")
    one, other = [(await pushes(repo).begin(ALICE)).id for _ in range(2)]
    async with pushes(repo).append(ALICE, one, None) as first:
        await first.write(b"a" * 6 * KIB)
        with pytest.raises(QuotaExceeded):
            async with pushes(repo).append(ALICE, other, None) as second:
                await second.write(b"b" * 4 * KIB)
                await second.write(b"b")
    async with pushes(repo).append(ALICE, one, None) as first:
        with pytest.raises(QuotaExceeded):
            await first.write(b"a" * KIB)
