"""What every `Records` keeps. Subclass it and give the fixture `records`."""

from __future__ import annotations

import asyncio
import time

import pytest

from registry_mesh.ports.records import Records


class RecordsSuite:
    async def test_put_and_get(self, records: Records) -> None:
        assert await records.get("a/b") is None
        await records.put("a/b", b"1")
        assert await records.get("a/b") == b"1"
        await records.put("a/b", b"")
        assert await records.get("a/b") == b""

    async def test_create_only(self, records: Records) -> None:
        assert await records.create("a/b", b"1")
        assert not await records.create("a/b", b"2")
        assert await records.get("a/b") == b"1"
        await records.delete(["a/b"])
        assert await records.create("a/b", b"3")

    async def test_one_winner(self, records: Records) -> None:
        won = await asyncio.gather(*(records.create("x/1", str(i).encode()) for i in range(16)))
        assert sum(won) == 1
        assert await records.get("x/1") == str(won.index(True)).encode()

    async def test_delete(self, records: Records) -> None:
        await records.put("a", b"1")
        await records.put("b/c", b"1")
        await records.delete(["a", "nothing", "b/c", "b/c/d"])
        assert [key async for key in records.walk("")] == []
        assert await records.children("") == []

    async def test_children(self, records: Records) -> None:
        for key in ["r/b/x", "r/b/y", "r/a", "r/a/z", "r/C/q", "other", "r2/x"]:
            await records.put(key, b"")
        assert await records.children("r/") == ["C", "a", "b"]
        assert await records.children("r/b/") == ["x", "y"]
        assert await records.children("nothing/") == []
        assert await records.children("") == ["other", "r", "r2"]

    async def test_some_children(self, records: Records) -> None:
        for key in ["v1/x", "v1-rc/x", "v1", "v10/x", "v2", "V3/x", "v1.2/x/y"]:
            await records.put(key, b"")
        names = ["V3", "v1", "v1-rc", "v1.2", "v10", "v2"]
        for start, after in enumerate(["", *names]):
            for limit in (0, 1, 2, 6, 7, None):
                there = names[start:] if limit is None else names[start : start + limit]
                assert await records.children("", after, limit) == there
        assert await records.children("", "v1.") == ["v1.2", "v10", "v2"]

    async def test_a_walk_among_what_was_written_before(self, records: Records) -> None:
        now = time.time()
        for key in ["a", "a/b", "c/d/e"]:
            await records.put(key, b"1")
        for prefix in ("", "a/", "c/"):
            every = sorted([key async for key in records.walk(prefix)])
            assert sorted([key async for key in records.walk(prefix, now + 60)]) == every
            assert [key async for key in records.walk(prefix, now - 60)] == []

    async def test_a_key_below_a_key(self, records: Records) -> None:
        await records.put("a", b"1")
        await records.put("a/b", b"2")
        await records.put("a/b/c", b"3")
        assert [await records.get(k) for k in ("a", "a/b", "a/b/c")] == [b"1", b"2", b"3"]
        await records.delete(["a/b/c"])
        assert await records.get("a/b") == b"2"
        assert await records.children("a/") == ["b"]

    async def test_walk(self, records: Records) -> None:
        keys = {f"r/{i % 7}/{i}" for i in range(100)} | {"r", "q/1"}
        for key in keys:
            await records.create(key, b"x")
        assert {key async for key in records.walk("")} == keys
        assert {key async for key in records.walk("r/")} == {k for k in keys if k.startswith("r/")}
        assert [key async for key in records.walk("zzz/")] == []

    @pytest.mark.parametrize(
        "key",
        ["a.rec", "a.rec/b.rec", "%", "50%25/x", "a%2Erec", "_tags/v1.0", "a b", "é", "x" * 200, ".hidden"],
    )
    async def test_any_component(self, records: Records, key: str) -> None:
        await records.put(key, b"1")
        await records.put(key + "/below", b"2")
        assert await records.get(key) == b"1"
        assert {k async for k in records.walk("")} == {key, key + "/below"}
        assert await records.children("") == [key.partition("/")[0]]

    @pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "a/../b", "./a", "a\0b"])
    async def test_no_key(self, records: Records, key: str) -> None:
        with pytest.raises(ValueError):
            await records.put(key, b"")
        with pytest.raises(ValueError):
            await records.get(key)

    async def test_creating_and_deleting_side_by_side(self, records: Records) -> None:
        async def churn(i: int) -> None:
            for n in range(20):
                assert await records.create(f"d/e/{i}-{n}", b"1")
                await records.delete([f"d/e/{i}-{n}"])

        await asyncio.gather(*(churn(i) for i in range(6)))
        assert await records.children("") == []
