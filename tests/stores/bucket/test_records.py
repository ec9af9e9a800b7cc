"""Records in a real bucket."""

import asyncio

import pytest

from registry_mesh.ports.records import Records
from registry_mesh.stores.bucket.store import S3Store
from tests.suites.records import RecordsSuite

pytestmark = pytest.mark.s3


class TestS3Records(RecordsSuite):
    @pytest.fixture
    def records(self, s3_store: S3Store) -> Records:
        return s3_store.records

    # This server keeps a directory for some seconds after its last object: `walk` tells the truth at once.

    async def test_delete(self, records: Records) -> None:
        await records.put("a", b"1")
        await records.put("b/c", b"1")
        await records.delete(["a", "nothing", "b/c", "b/c/d"])
        assert [key async for key in records.walk("")] == []

    async def test_creating_and_deleting_side_by_side(self, records: Records) -> None:
        async def churn(i: int) -> None:
            for n in range(5):
                assert await records.create(f"d/e/{i}-{n}", b"1")
                await records.delete([f"d/e/{i}-{n}"])

        await asyncio.gather(*(churn(i) for i in range(6)))
        assert [key async for key in records.walk("")] == []


async def test_dollars_are_components_too(s3_store: S3Store) -> None:
    keys = ["$", "$$", "a", "a$", "a$/b", "a$$/$", "a/$$b$"]
    for key in keys:
        assert await s3_store.records.create(key, key.encode())
    assert [await s3_store.records.get(key) for key in keys] == [key.encode() for key in keys]
    assert sorted([key async for key in s3_store.records.walk("")]) == sorted(keys)
    assert await s3_store.records.children("") == ["$", "$$", "a", "a$", "a$$"]


async def test_create_has_one_winner_among_hosts(s3_store: S3Store, s3_other: S3Store) -> None:
    for turn in range(3):
        attempts = [
            store.records.create(f"tags/v1/{turn}", f"{number}".encode())
            for number, store in enumerate([s3_store, s3_other] * 5)
        ]
        won = await asyncio.gather(*attempts)
        assert won.count(True) == 1
        assert await s3_other.records.get(f"tags/v1/{turn}") == str(won.index(True)).encode()


async def test_listings_go_on_beyond_a_thousand_keys(s3_store: S3Store) -> None:
    names = [f"{number:05}" for number in range(1100)]
    for start in range(0, len(names), 100):
        await asyncio.gather(*(s3_store.records.put(f"many/{n}/x", b"") for n in names[start : start + 100]))
    assert await s3_store.records.children("many/") == names
    walked = [key async for key in s3_store.records.walk("many/")]
    assert sorted(walked) == [f"many/{n}/x" for n in names]
    await s3_store.records.delete(walked)
    assert [key async for key in s3_store.records.walk("many/")] == []
