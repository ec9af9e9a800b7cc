"""Repositories in ASCII order, from any name on, by looking at few others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from registry_mesh.oci.reference import RepositoryName
from registry_mesh.ports.records import Records
from registry_mesh.repositories import names as listing
from registry_mesh.repositories.keys import RepositoryKeys
from registry_mesh.repositories.names import repository_names
from registry_mesh.stores.disk.durability import DiskFsync
from registry_mesh.stores.disk.records import DiskRecords
from registry_mesh.stores.memory.records import MemoryRecords

COMPONENT = st.from_regex(r"[ab0]([.-]?[ab0]){0,2}", fullmatch=True)
NAME = st.lists(COMPONENT, min_size=1, max_size=3).map("/".join)


async def held(records: Records, names: Sequence[str]) -> None:
    for name in names:
        keys = RepositoryKeys(RepositoryName(name))
        await records.put(keys.existence, b"")
        await records.put(f"{keys.tag('v1')}1", b"")


async def both(check: Callable[[Records], Awaitable[None]]) -> None:
    await check(MemoryRecords())
    with TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "tmp").mkdir()
        await check(DiskRecords(root / "records", root / "tmp", DiskFsync.NEVER))


@settings(max_examples=60, deadline=None)
@given(names=st.sets(NAME, max_size=12), last=st.one_of(st.just(""), NAME), batch=st.integers(1, 4))
async def test_order_and_beginning(names: set[str], last: str, batch: int) -> None:
    async def check(records: Records) -> None:
        await held(records, sorted(names))
        found = [name async for name in repository_names(records, last=last)]
        assert found == sorted(name for name in names if name > last)
        below = [name async for name in repository_names(records, "a/", last)]
        assert below == sorted(name for name in names if name > last and name.startswith("a/"))

    before, listing.BATCH = listing.BATCH, batch  # type: ignore[misc]
    try:
        await both(check)
    finally:
        listing.BATCH = before  # type: ignore[misc]


class Counting(MemoryRecords):
    """Counts what is looked at."""

    looks = 0

    async def get(self, key: str) -> bytes | None:
        self.looks += 1
        return await super().get(key)

    async def children(self, prefix: str, after: str = "", limit: int | None = None) -> list[str]:
        self.looks += 1
        return await super().children(prefix, after, limit)


async def test_a_page_costs_what_is_on_it() -> None:
    records = Counting()
    await held(records, [f"team-{team}/app-{app:02}" for team in range(10, 30) for app in range(30)])
    names = repository_names(records, last="team-25/app-20")
    assert [await anext(names) for _ in range(10)][-1] == "team-26/app-00"
    assert records.looks < 60, "of 600 repositories"
