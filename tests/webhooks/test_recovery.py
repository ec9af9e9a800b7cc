"""An event is told although the process that made the change did not live to say so, and none that did not happen."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import Conflict, ManifestUnknown
from registry_mesh.ports.happenings import DELETE, PUSH
from registry_mesh.repositories.digest_life import Lifecycle
from registry_mesh.repositories.journal import DocumentJournal
from registry_mesh.repositories.of_origin import Repositories
from registry_mesh.repositories.push_policy import PushPolicy
from registry_mesh.stores.memory.records import MemoryRecords
from registry_mesh.stores.memory.store import MemoryStore
from registry_mesh.stores.memory.uploads import MemoryUploads
from registry_mesh.webhooks.outbox import QueuedOutbox, Wish
from registry_mesh.webhooks.queue import Queue
from registry_mesh.webhooks.recovery import LONGEST, SETTLED, Recovery
from tests.simulators.origins import ALICE, HandClock, push_image, pushes, repository


class Died(BaseException):
    """The process is no more."""


class Mortal(MemoryRecords):
    """Dies at the write that `left` counts down to, before or after it."""

    left: float = float("inf")
    after = False

    async def _count(self, write: Awaitable[object]) -> object:
        self.left -= 1
        if self.left < 0 and not self.after:
            write.close()  # type: ignore[attr-defined]
            raise Died
        done = await write
        if self.left < 0:
            raise Died
        return done

    async def put(self, key: str, data: bytes) -> None:
        await self._count(super().put(key, data))

    async def create(self, key: str, data: bytes) -> bool:
        return bool(await self._count(super().create(key, data)))

    async def delete(self, keys: object) -> None:
        await self._count(super().delete(keys))  # type: ignore[arg-type]


class Cut(QueuedOutbox):
    """Is never heard of after the change."""

    async def add(self, *_: object, **__: object) -> None:
        raise Died


class Origin:
    """An origin that tells of what happens, over several lives."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.store, self.records = HandClock(), MemoryStore(), Mortal()
        self.path, self.policy = str(folder / "queue.sqlite"), PushPolicy(immutable=("v*",))
        self.live()

    def live(self, kind: type[QueuedOutbox] = QueuedOutbox) -> None:
        self.queue = Queue(self.path, 100)
        wishes = [Wish("ci", (PUSH, DELETE), lambda name: not name.startswith("cms"))]
        self.outbox = kind(self.queue, wishes, "//registry.example", "registry.example")
        lifecycle = Lifecycle(self.records, self.clock, None, self.clock.sleep)
        self.repositories = Repositories(
            self.records,
            self.store,
            MemoryUploads(self.store, self.clock),
            lifecycle,
            self.policy,
            outbox=self.outbox,
        )

    def die(self) -> None:
        self.queue.close()
        self.records.left = float("inf")

    async def recover(self) -> int:
        journal = DocumentJournal(self.repositories)
        return await Recovery(self.queue, self.outbox, journal).look(self.clock())

    def events(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """Those that wait, in order."""
        found = []
        while (waiting := self.queue.first("ci")) is not None:
            told = json.loads(waiting.body)["data"]
            found.append((told["action"], told["digest"], tuple(told["tags"])))
            self.queue.sent("ci", waiting)
        return found


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[Origin]:
    origin = Origin(tmp_path)
    yield origin
    origin.queue.close()


Change = Callable[[Repositories, Digest], Awaitable[object]]


async def push(origin: Repositories, before: Digest) -> object:
    return await push_image(repository(origin), "two", "latest")


async def untag(origin: Repositories, before: Digest) -> object:
    return await pushes(repository(origin)).delete_tag(ALICE, Tag("latest"))


async def delete(origin: Repositories, before: Digest) -> object:
    return await pushes(repository(origin)).delete_manifest(ALICE, before)


async def standing(origin: Origin, before: Digest) -> tuple[object, bool]:
    """What tells whether something changed."""
    try:
        tag: object = (await repository(origin.repositories).tags.resolve(Tag("latest"))).descriptor.digest
    except ManifestUnknown:
        tag = None
    try:
        await repository(origin.repositories).manifests.manifest(before)
    except ManifestUnknown:
        return tag, False
    return tag, True


@pytest.mark.parametrize("change", [push, untag, delete])
@pytest.mark.parametrize("after", [False, True])
async def test_a_death_at_any_write_loses_no_event_and_makes_none(
    tmp_path: Path, change: Change, after: bool
) -> None:
    lived = False
    writes = 0
    while not lived:
        folder = tmp_path / str(writes)
        folder.mkdir()
        origin = Origin(folder)
        before = (await push_image(repository(origin.repositories), "one", "latest")).digest
        was = await standing(origin, before)
        origin.events()
        origin.clock.now += 5
        origin.records.left, origin.records.after = writes, after
        try:
            await change(origin.repositories, before)
            lived = True
        except Died:
            pass
        origin.die()
        origin.live()
        origin.clock.now += SETTLED + 1
        await origin.recover()
        tag, _ = now = await standing(origin, before)
        kinds = [kind for kind, _, _ in origin.events()]
        happened = tag != was[0] if change is not delete else now != was
        assert kinds == ([PUSH if change is push else DELETE] if happened else []), (writes, was, now)
        assert await origin.recover() == 0, "once is enough"
        origin.queue.close()
        writes += 1
    assert writes > 2


async def test_a_client_that_leaves_between_change_and_event_loses_none(origin: Origin) -> None:
    """The event has an id from the beginning: it is told twice where the process was only slow."""

    origin.die()
    origin.live(Cut)
    with pytest.raises(Died):
        await push_image(repository(origin.repositories), "one", "latest")
    origin.die()
    origin.live()
    assert origin.events() == []
    assert await origin.recover() == 0, "it may still be under way"
    origin.clock.now += SETTLED + 1
    assert await origin.recover() == 1
    assert [(kind, tags) for kind, _, tags in origin.events()] == [(PUSH, ("latest",))]


async def test_a_push_that_is_refused_early_is_no_event(origin: Origin) -> None:
    repo = repository(origin.repositories)
    await push_image(repo, "one", "v1")
    origin.events()
    origin.clock.now += 5
    other = await push_image(repo, "two")
    origin.events()
    with pytest.raises(Conflict):
        await pushes(repo).put_manifest(ALICE, other, [Tag("latest"), Tag("v1")])
    origin.clock.now += SETTLED + 1
    assert await origin.recover() == 0
    assert origin.events() == [], "it was refused before anything was done"


async def test_what_did_not_happen_is_forgotten(origin: Origin) -> None:
    repo = repository(origin.repositories)
    await push_image(repo, "one", "latest")
    origin.events()
    origin.clock.now += 5
    for writes in range(3):
        origin.records.left = writes
        with pytest.raises(Died):
            await push_image(repo, "two", "latest")
        origin.records.left = float("inf")
    origin.clock.now += SETTLED + 1
    assert await origin.recover() == 0
    origin.clock.now += LONGEST
    assert await origin.recover() == 0
    assert origin.queue.begun(origin.clock() + 1) == []
    assert origin.events() == []


async def test_what_nobody_wants_to_know_is_not_written_down(origin: Origin) -> None:
    await push_image(origin.repositories.repository("registry.example", "cms/app"), "one", "latest")  # type: ignore[arg-type]
    assert origin.queue.begun(origin.clock() + 1) == []


async def test_a_queue_of_a_former_version_is_used(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite"
    Queue(str(path), 100).counts()
    opened = sqlite3.connect(path)
    opened.executescript("DROP TABLE begun; PRAGMA user_version = 1")
    opened.close()
    queue = Queue(str(path), 100)
    queue.begin("e", 1.0, b"{}")
    assert [each.event for each in queue.begun(2.0)] == ["e"]
    queue.close()
