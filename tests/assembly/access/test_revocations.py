"""The list of revoked credentials in the processes of one node, and over its restarts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from registry_mesh.assembly.access.revocations import NodeRevocations
from registry_mesh.assembly.sources.parents import Parents
from registry_mesh.auth.revoked import mark
from registry_mesh.config.load import parse
from registry_mesh.ports.failures import StoreFull
from registry_mesh.stores.memory.records import MemoryRecords
from registry_mesh.telemetry.note import Note
from tests.eventually import eventually
from tests.simulators.parent import plain_parent

A, B = mark("a"), mark("b")
NOW = 1_800_000_000.0


class Full(MemoryRecords):
    """Takes nothing while it is full."""

    full = True

    async def put(self, key: str, data: bytes) -> None:
        if self.full:
            raise StoreFull("no room")
        await super().put(key, data)


class Answer:
    """Tells of one credential."""

    status, source = 200, "parent"

    async def body(self, limit: int) -> bytes:
        return json.dumps({B: int(NOW)}).encode()

    def field(self, name: str) -> str:
        return '"1"'


class Parent:
    """A parent, its session and its state: a node of the mesh, which may hang."""

    name, mesh, available = "parent", True, True

    def __init__(self, *, hangs: bool) -> None:
        self.hangs = hangs
        self.asked = 0
        self.session = self.parent = self

    @asynccontextmanager
    async def request(self, *_: object, **__: object) -> AsyncIterator[Answer]:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        yield Answer()


class Several:
    """The parents of several registries."""

    def __init__(self, *parents: Parent) -> None:
        self.groups = {f"r{number}.example": [[parent]] for number, parent in enumerate(parents)}


class Slow(MemoryRecords):
    """Is at the first document for long."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.goes_on = asyncio.Event(), asyncio.Event()

    async def put(self, key: str, data: bytes) -> None:
        if not self.begun.is_set():
            self.begun.set()
            await self.goes_on.wait()
        await super().put(key, data)


def of(note: Note, *, keeps: bool) -> NodeRevocations:
    return NodeRevocations("node", note, keeps=keeps, clock=lambda: NOW)


async def test_what_one_process_saw_is_in_force_in_all_and_after_a_restart() -> None:
    records, note = MemoryRecords(), Note()
    keeper, other = of(note, keeps=True), of(note, keeps=False)
    for each in (keeper, other):
        await each.begin(records)
        await each.looked(frozenset({A, B}))
    assert keeper.marks == other.marks == frozenset()
    await other.looked(frozenset({B}))
    assert other.marks == frozenset(), "one process tells for all"
    await keeper.looked(frozenset({B}))
    assert keeper.marks == other.marks == {A}
    assert keeper.told == other.told == f'{{"{A}":{int(NOW)}}}'

    begun = of(Note(), keeps=False)
    await begun.begin(records)
    assert begun.marks == {A}, "before any other process says so"


async def test_a_full_store_keeps_nothing_from_being_refused() -> None:
    records, note = Full(), Note()
    records.full = False
    keeper, other = of(note, keeps=True), of(note, keeps=False)
    for each in (keeper, other):
        await each.begin(records)
    await keeper.looked(frozenset({A}))
    records.full = True
    await keeper.looked(frozenset())
    assert keeper.marks == other.marks == {A}
    records.full = False
    await keeper.looked(frozenset())
    begun = of(Note(), keeps=False)
    await begun.begin(records)
    assert begun.marks == {A}


async def test_what_was_known_last_is_what_is_kept() -> None:
    records = Slow()
    keeper = of(Note(), keeps=True)
    await keeper.begin(records)
    first = asyncio.create_task(keeper.looked(frozenset({A, B})))
    await records.begun.wait()
    later = [asyncio.create_task(keeper.looked(marks)) for marks in (frozenset({B}), frozenset[str]())]
    while keeper.marks != {A, B}:
        await asyncio.sleep(0)
    records.goes_on.set()
    await asyncio.gather(first, *later)
    begun = of(Note(), keeps=False)
    await begun.begin(records)
    assert begun.marks == {A, B}


async def test_a_record_that_cannot_be_read_is_no_end_of_the_node() -> None:
    records, note = MemoryRecords(), Note()
    await records.put("revoked/node", b"\x00")
    keeper = of(note, keeps=True)
    await keeper.begin(records)
    assert keeper.marks == frozenset()


async def test_who_has_no_credentials_bothers_no_parent_that_was_never_asked(tmp_path: Path) -> None:
    async with plain_parent() as parent:
        document = {
            "role": "site",
            "store": {"disk": {"path": str(tmp_path)}},
            "registries": {"r.example": {"parents": [[parent.url]]}},
        }
        async with Parents(parse(json.dumps(document), "site.yaml").config) as parents:
            keeper = of(Note(), keeps=True)
            await keeper.begin(MemoryRecords())
            await keeper.looked(frozenset())
            await keeper.ask(parents)
            assert parent.requests == []
            await keeper.looked(frozenset({A}))
            for _ in range(3):
                await keeper.ask(parents)
            assert set(parent.requests) == {("GET", "/v2/")}, "it is no node of the mesh"


async def test_a_parent_that_hangs_holds_up_no_other_registry() -> None:
    parents = Several(*(Parent(hangs=True) for _ in range(3)), Parent(hangs=False))
    keeper = of(Note(), keeps=True)
    await keeper.begin(MemoryRecords())
    asking = asyncio.create_task(keeper.ask(parents))  # type: ignore[arg-type]
    await eventually(lambda: keeper.marks == {B})
    assert not asking.done()
    asking.cancel()
    await asyncio.wait({asking})
