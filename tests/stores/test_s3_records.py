"""Records in a real bucket."""

import asyncio

import pytest

from registry_mesh.stores.s3 import S3Store

pytestmark = pytest.mark.s3


async def test_put_get_replace_delete(s3_store: S3Store) -> None:
    records = s3_store.records
    assert await records.get("a/b") is None
    await records.put("a/b", b"1")
    await records.put("a/b", b"22")
    await records.put("a/empty", b"")
    assert await records.get("a/b") == b"22"
    assert await records.get("a/empty") == b""
    await records.delete(["a/b", "a/never"])
    await records.delete(["a/never"])
    await records.delete([])
    assert await records.get("a/b") is None


async def test_keys_with_odd_characters_keep_them(s3_store: S3Store) -> None:
    keys = ["a:b/c d", "a:b/c+d", "a:b/%2F", "a:b/é&=?#", "a:b/~_-.x"]
    for key in keys:
        assert await s3_store.records.create(key, key.encode())
    assert [await s3_store.records.get(key) for key in keys] == [key.encode() for key in keys]
    assert await s3_store.records.children("a:b/") == sorted(key.partition("/")[2] for key in keys)


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "a/../b", "./a"])
async def test_keys_that_are_no_paths_are_refused(s3_store: S3Store, key: str) -> None:
    with pytest.raises(ValueError, match="not a record's key"):
        await s3_store.records.put(key, b"x")


async def test_create_has_one_winner_among_hosts(s3_store: S3Store, s3_other: S3Store) -> None:
    for turn in range(3):
        attempts = [
            store.records.create(f"tags/v1/{turn}", f"{number}".encode())
            for number, store in enumerate([s3_store, s3_other] * 5)
        ]
        won = await asyncio.gather(*attempts)
        assert won.count(True) == 1
        assert await s3_other.records.get(f"tags/v1/{turn}") == str(won.index(True)).encode()


async def test_children_are_the_next_components_in_order(s3_store: S3Store) -> None:
    records = s3_store.records
    for key in ["r/b/_tags/v1/1", "r/b/_tags/v10/1", "r/b/_tags/v2/1", "r/a", "r/b/c/_tags/x/1", "q"]:
        await records.put(key, b"")
    assert await records.children("") == ["q", "r"]
    assert await records.children("r/") == ["a", "b"]
    assert await records.children("r/b/_tags/") == ["v1", "v10", "v2"]
    assert await records.children("none/") == []
    assert sorted([key async for key in records.walk("r/b/")]) == [
        "r/b/_tags/v1/1",
        "r/b/_tags/v10/1",
        "r/b/_tags/v2/1",
        "r/b/c/_tags/x/1",
    ]


async def test_listings_go_on_beyond_a_thousand_keys(s3_store: S3Store) -> None:
    names = [f"{number:05}" for number in range(1100)]
    for start in range(0, len(names), 100):
        await asyncio.gather(*(s3_store.records.put(f"many/{n}/x", b"") for n in names[start : start + 100]))
    assert await s3_store.records.children("many/") == names
    walked = [key async for key in s3_store.records.walk("many/")]
    assert sorted(walked) == [f"many/{n}/x" for n in names]
    await s3_store.records.delete(walked)
    assert [key async for key in s3_store.records.walk("many/")] == []
