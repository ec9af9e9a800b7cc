"""kill -9 at every write point of an origin's work leaves the old state or the new, and nothing wrong.

The quick tests die at some of the points: what a disk is asked to do and, in a bucket, before and after every request
that changes it. The slow ones look at what is left at each point of a disk, and die at more of a bucket's (at each with
ORIGIN_CRASHES=1, which takes minutes).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import ManifestUnknown, NameUnknown
from registry_mesh.ports.repositories import Repository
from registry_mesh.repositories.collection import Collection
from registry_mesh.repositories.of_origin import Repositories
from registry_mesh.repositories.verify import SelfCheck
from registry_mesh.stores.bucket.connect import connect
from registry_mesh.stores.bucket.settings import S3Credentials, S3Settings
from registry_mesh.stores.bucket.store import S3Store
from registry_mesh.tasks.together import ask_each
from tests.simulators.bucket import Bucket
from tests.simulators.death import run_and_die, run_and_stop
from tests.simulators.origins import (
    ALICE,
    LAYER,
    HandClock,
    bucket_origin,
    disk_origin,
    image,
    index,
    plain,
    push_blob,
    push_image,
    pushes,
    repository,
)
from tests.simulators.store_files import contents
from tests.suites.bytes_of import pattern

IN_BUCKET = int(os.environ.get("ORIGIN_CRASHES", "7"))
DAY = 24 * 3600.0
PART = 16 << 20
"""What an upload to a bucket sends at a time."""

Story = Callable[[Repositories, HandClock], Awaitable[None]]
Opened = Callable[[HandClock], AbstractAsyncContextManager[Repositories]]
Fresh = Callable[[int], list[Opened]]
"""So many stores as `begin` leaves them."""
Left = tuple[str, Opened]
"""Where a story ended, and the store that it left."""


async def release(origin: Repositories, clock: HandClock) -> None:
    """A blob in two requests, an image, an index, a signature of it, two tags; the old tag goes."""
    repo = repository(origin)
    layer = pattern(200_000)
    begun = await pushes(repo).begin(ALICE)
    async with pushes(repo).append(ALICE, begun.id, 0) as ingest:
        await ingest.write(layer[:150_000])
    async with pushes(repo).append(ALICE, begun.id, 150_000) as ingest:
        await ingest.write(layer[150_000:])
        await ingest.commit(Digest.of(layer))
    config = await push_blob(repo, b"new config")
    new = image(config, config)
    await pushes(repo).put_manifest(ALICE, new, [])
    await pushes(repo).put_manifest(ALICE, index(new), [Tag("latest"), Tag("new")])
    await push_image(repo, "signature", subject=plain(index(new)).document())
    await pushes(repo).delete_tag(ALICE, Tag("old"))


async def housekeeping(origin: Repositories, clock: HandClock) -> None:
    """A release is deleted, brought back, deleted again, and collected; then it is pushed anew."""
    repo = repository(origin)
    old = (await repo.tags.resolve(Tag("latest"))).descriptor.digest
    await pushes(repo).delete_manifest(ALICE, old)
    await origin.history(repo.name).undo(ALICE, Tag("latest"))
    await pushes(repo).delete_manifest(ALICE, old)
    removed = 0
    for _ in range(5):
        removed += (await Collection(origin).run()).removed
        clock.now += DAY + 1
    assert removed >= 3
    await push_image(repo, "old", "latest")


async def large(origin: Repositories, clock: HandClock, part: int = 1 << 20) -> None:
    """A blob of more than a part in two requests, and one that is given up."""
    repo = repository(origin)
    data, first = pattern(part * 9 // 8), part * 5 // 8
    begun, given_up = await pushes(repo).begin(ALICE), await pushes(repo).begin(ALICE)
    for id in (begun.id, given_up.id):
        async with pushes(repo).append(ALICE, id, 0) as ingest:
            await ingest.write(data[:first])
    await pushes(repo).cancel(ALICE, given_up.id)
    async with pushes(repo).append(ALICE, begun.id, first) as ingest:
        await ingest.write(data[first:])
        await ingest.commit(Digest.of(data))
    layer = Descriptor(LAYER, Digest.of(data), len(data))
    await pushes(repo).put_manifest(ALICE, image(layer, layer), [Tag("latest"), Tag("new")])


ON_A_DISK: dict[str, Story] = {"release": release, "housekeeping": housekeeping, "large": large}
IN_A_BUCKET: dict[str, Story] = ON_A_DISK | {"large": partial(large, part=PART)}


async def begin(opened: Opened) -> None:
    async with opened(HandClock()) as origin:
        await push_image(repository(origin), "old", "latest", "old")


async def live(opened: Opened, story: Story) -> None:
    clock = HandClock()
    async with opened(clock) as origin:
        await story(origin, clock)


async def tag_of(repo: Repository, tag: str) -> Digest | None:
    try:
        return (await repo.tags.resolve(Tag(tag))).descriptor.digest
    except (ManifestUnknown, NameUnknown):
        return None


async def look(opened: Opened, story: Story) -> None:
    """By a process that is started afterwards: nothing is wrong, and the same work can be done."""
    clock = HandClock()
    async with opened(clock) as origin:
        repo = repository(origin)
        assert [each async for each in SelfCheck(origin).findings()] == []
        latest, new = await tag_of(repo, "latest"), await tag_of(repo, "new")
        assert new is None or latest == new
        listed = (await repo.tags.tags(9)).tags
        assert list(listed) == [
            tag for tag in ("latest", "new", "old") if await tag_of(repo, tag) is not None
        ]
        clock.now += 60
        await push_image(repo, "old", "latest", "old")
        await story(origin, clock)
        for _ in range(2):  # what was left half done is in nobody's way
            await Collection(origin).run()
            clock.now += DAY + 1
        assert [each async for each in SelfCheck(origin).findings()] == []
        assert await tag_of(repo, "latest") is not None


def die_at_every(every: int, story: Story, fresh: Fresh) -> int:
    """How many points the story has.

    Each kill has a store and a process of its own. One process looks at all the stores afterwards.
    """
    [unharmed] = fresh(1)
    points = run_and_die(partial(live, unharmed, story), 0)
    deaths = range(1 + every // 2, len(points) + 1, every)
    killed: list[Left] = []
    for at, opened in zip(deaths, fresh(len(deaths)), strict=True):
        reached = run_and_die(partial(live, opened, story), at)
        killed.append((f"killed at {reached[-1]}, point {at} of {len(points)}", opened))
    look_at_each(killed, story)
    print(f"{len(points)} write points, killed at {len(deaths)}")
    return len(points)


def look_at_each(killed: list[Left], story: Story) -> None:
    async def look_at(each: Left) -> None:
        try:
            await look(each[1], story)
        except BaseException as fault:
            raise AssertionError(each[0]) from fault

    run_and_die(lambda: ask_each(look_at, killed), 0)


def on_disk(root: Path) -> Opened:
    @asynccontextmanager
    async def opened(clock: HandClock) -> AsyncIterator[Repositories]:
        yield await disk_origin(root, clock=clock)

    return opened


def settings_of(bucket: Bucket, prefix: str = "") -> S3Settings:
    credentials = S3Credentials(bucket.access_key, bucket.secret_key)
    return S3Settings(bucket.name, bucket.endpoint, prefix, region=bucket.region, credentials=credentials)


def in_bucket(bucket: Bucket, prefix: str) -> Opened:
    settings = settings_of(bucket, prefix)

    @asynccontextmanager
    async def opened(clock: HandClock) -> AsyncIterator[Repositories]:
        store = await S3Store.start(settings)
        yield bucket_origin(store, clock=clock)
        await store.close()

    return opened


@pytest.fixture
def memory() -> Iterator[Path]:
    """Hundreds of stores are opened, and the kernel outlives them all: no disk is needed."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        yield Path(directory)


@pytest.fixture
def saved(memory: Path) -> Path:
    """A store as `begin` leaves it."""
    run_and_die(lambda: begin(on_disk(memory / "saved")), 0)
    return memory / "saved"


@pytest.mark.parametrize("story", ON_A_DISK)
def test_on_a_disk(saved: Path, story: str) -> None:
    def fresh(count: int) -> list[Opened]:
        roots = [saved.with_name(f"{count}-{each}") for each in range(count)]
        for root in roots:
            shutil.copytree(saved, root)
        return [on_disk(root) for root in roots]

    assert die_at_every(29, ON_A_DISK[story], fresh) > 60


@pytest.mark.slow
@pytest.mark.parametrize("story", ON_A_DISK)
def test_at_every_point_on_a_disk(saved: Path, story: str) -> None:
    """The story is lived once, and what a death would leave at each point is copied. Where that is what the point
    before left, to the byte, it is looked at once."""
    left: list[Left] = []
    last: object = None

    def seen(point: str) -> None:
        nonlocal last
        if (now := contents(saved)) != last:
            last = now
            root = saved.with_name(f"left-{len(left)}")
            shutil.copytree(saved, root)
            left.append((f"left at {point}, state {len(left)}", on_disk(root)))

    reached = run_and_stop(partial(live, on_disk(saved), ON_A_DISK[story]), seen)
    look_at_each(left, ON_A_DISK[story])
    print(f"{len(reached)} write points, {len(left)} states")
    assert len(reached) > 60
    assert len(left) > 40


@pytest.mark.s3
@pytest.mark.parametrize("every", [29, pytest.param(IN_BUCKET, marks=pytest.mark.slow)])
@pytest.mark.parametrize("story", IN_A_BUCKET)
def test_in_a_bucket(bucket: Bucket, story: str, every: int) -> None:
    connect(settings_of(bucket)).boto.close()  # what is read or made once a process is here before the forks
    pattern(PART * 9 // 8)

    def fresh(count: int) -> list[Opened]:
        stores = [in_bucket(bucket, bucket.prefix()) for _ in range(count)]
        run_and_die(lambda: ask_each(begin, stores), 0)
        return stores

    assert die_at_every(every, IN_A_BUCKET[story], fresh) > 60
