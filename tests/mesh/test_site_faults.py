"""What a site does when its parents, its link, its disk or its own process fail. Real processes, real sockets."""

from __future__ import annotations

import asyncio
import random
import shutil
import time

import aiohttp
import pytest

from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.oci.digest import Digest
from tests.eventually import eventually
from tests.mesh.conftest import SiteBehindLink, same
from tests.simulators.pauses import watched
from tests.simulators.unread import LEAVING, stand_still
from tests.suites.bytes_of import pattern

pytestmark = pytest.mark.slow

BROKEN = (aiohttp.ClientError, ConnectionError, TimeoutError)


async def prefix(world: SiteBehindLink, digest: Digest, whole: bytes) -> int:
    """Pull it; whatever comes must be a prefix of it. How much came."""
    got = bytearray()
    try:
        async with world.client.get(world.blob(digest)) as answer:
            if answer.status != 200:
                return 0
            async for data in answer.content.iter_any():
                got += data
    except BROKEN:
        pass
    if not whole.startswith(got):
        wrong = [at for at in range(len(got)) if got[at] != whole[at]]
        pytest.fail(
            f"of {len(got)} bytes {len(wrong)} are wrong, {wrong[0]} to {wrong[-1]}: {got[wrong[0] :][:9]!r}"
            f" ({answer.headers.get('Cache-Status')})"
        )
    return len(got)


async def test_many_readers_over_two_workers_move_each_byte_once(behind_link: SiteBehindLink) -> None:
    """Where the machine stood still the link looked slow, and some may have come twice: then it is done once more."""
    world, size = behind_link, 24 * MIB + 99
    world.link.conditions.rate = 60e6
    await world.start()
    async with watched() as pauses:
        for seed in range(3):
            began = time.monotonic()
            world.link.reset_counts()
            await many_readers(world, pattern(size, seed=seed))
            if world.moved <= 1.01 * size or not pauses.stood_since(began):
                break
    assert world.moved <= 1.01 * size


async def many_readers(world: SiteBehindLink, whole: bytes) -> None:
    digest, rng = world.parent.add(whole), random.Random(5)

    async def reader(index: int) -> None:
        if index % 3 == 0:
            assert same(await world.get(world.blob(digest)), 200, whole)
        else:
            start = rng.randrange(len(whole))
            stop = min(len(whole), start + rng.randrange(1, 4 * MIB))
            await asyncio.sleep(rng.random() / 10)
            assert same(await world.get(world.blob(digest), (start, stop)), 206, whole[start:stop])

    await asyncio.gather(*(reader(i) for i in range(60)))


@pytest.mark.parametrize(
    "fault",
    [{"cut_every": 5_000_000}, {"ignore_ranges": True}, {"cut_every": 3_000_000, "ignore_ranges": True}],
    ids=["cut", "ranges ignored", "both"],
)
async def test_a_bad_link_is_not_seen_by_the_client(
    behind_link: SiteBehindLink, fault: dict[str, object]
) -> None:
    world = behind_link
    whole = pattern(16 * MIB)
    digest = world.parent.add(whole)
    for name, value in fault.items():
        setattr(world.link.conditions, name, value)
    await world.start()
    if "ignore_ranges" not in fault or "cut_every" not in fault:
        assert await world.get(world.blob(digest), (9_000_000, 9_000_100)) == (
            206,
            whole[9_000_000:9_000_100],
        )
        assert same(await world.get(world.blob(digest)), 200, whole)
    else:  # what lies behind the cut cannot be had by anybody
        assert await prefix(world, digest, whole) < len(whole)


@pytest.mark.parametrize("flip", [5, 8 * MIB + 5, 16 * MIB - 1], ids=["first", "middle", "last"])
async def test_a_flipped_bit_never_completes_and_is_not_kept(behind_link: SiteBehindLink, flip: int) -> None:
    world = behind_link
    whole = pattern(16 * MIB)
    digest = world.parent.add(whole)
    world.link.conditions.flip_at = flip
    await world.start()
    got = bytearray()
    with pytest.raises(BROKEN):
        async with world.client.get(world.blob(digest)) as answer:
            async for data in answer.content.iter_any():
                got += data
    assert len(got) < len(whole)
    world.link.conditions.flip_at = None
    answer_ = await eventually(
        lambda: world.get(world.blob(digest)),
        "the honest blob",
        pause=0.05,
        until=lambda answer: answer[0] == 200,
    )
    assert same(answer_, 200, whole)


async def test_killed_at_45_percent_the_next_pull_moves_the_rest(behind_link: SiteBehindLink) -> None:
    world = behind_link
    whole = pattern(40 * MIB)
    digest = world.parent.add(whole)
    world.link.conditions.rate = 20e6
    await world.start()
    pull = asyncio.create_task(prefix(world, digest, whole))
    await eventually(
        lambda: world.moved >= 0.45 * len(whole), "nearly half of it to cross the link", seconds=120
    )
    await stand_still(world.link)
    await world.kill()
    assert await pull < len(whole)
    arrived = world.moved
    world.link.conditions.rate = world.link.conditions.stall_after = None
    world.link.reset_counts()
    await world.start()
    assert same(await world.get(world.blob(digest)), 200, whole)
    assert world.moved <= len(whole) - arrived + MIB + LEAVING


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_quota_that_never_suffices_spoils_no_body(behind_link: SiteBehindLink, workers: int) -> None:
    world = behind_link
    rng = random.Random(11)
    blobs = {}
    for index in range(6):
        whole = pattern(rng.randrange(1, 8 * MIB), seed=index)
        blobs[world.parent.add(whole)] = whole
    store = {"disk": {"path": str(world.node.folder / "store"), "quota": 20 * MIB}}
    world.configure(workers=workers, store=store)
    await world.start()

    async def reader() -> None:
        for _ in range(5):
            digest = rng.choice(list(blobs))
            await prefix(world, digest, blobs[digest])

    await asyncio.gather(*(reader() for _ in range(8)))


async def test_under_churn_every_answer_is_whole_and_right(behind_link: SiteBehindLink) -> None:
    """Whole readers and ranges of large blobs that do not all fit: cold fills, evictions and connections used again."""
    world = behind_link
    blobs = {world.parent.add(whole): whole for whole in (pattern(12 * MIB + 7, seed=s) for s in range(8))}
    store = {"disk": {"path": str(world.node.folder / "store"), "quota": 48 * MIB}}
    world.configure(workers=1, store=store)
    await world.start()

    async def reader(rng: random.Random, share: float) -> None:
        for _ in range(4):
            digest, whole = rng.choice(list(blobs.items()))
            if rng.random() < share:
                assert same(await world.get(world.blob(digest)), 200, whole)
            else:
                start = rng.randrange(len(whole) - MIB)
                stop = start + rng.randrange(64 << 10, MIB)
                assert same(await world.get(world.blob(digest), (start, stop)), 206, whole[start:stop])

    await asyncio.gather(*(reader(random.Random(seed), 0.5 if seed < 6 else 0.02) for seed in range(40)))


@pytest.mark.parametrize("how", ["refuse", "hang"])
async def test_without_parents_what_is_held_is_served_and_the_rest_is_a_clear_503(
    behind_link: SiteBehindLink, how: str
) -> None:
    world = behind_link
    layer = pattern(3 * MIB)
    digest = world.parent.add_image("1", layer)
    manifests = f"{world.node.url}/v2/team/app/manifests"
    await world.start()
    held = [f"{manifests}/1", f"{manifests}/{digest}", world.blob(Digest.of(layer))]
    bodies = [(await world.get(url))[1] for url in held]
    setattr(world.link.conditions, how, True)
    await asyncio.sleep(2.5)  # the tag is stale now
    for _ in range(2):
        for url, body in zip(held, bodies, strict=True):
            assert same(await world.get(url), 200, body)
        await world.stop()
        await world.start()

    async def tag() -> tuple[int, int, str]:
        async with world.client.get(f"{manifests}/1") as answer:
            return answer.status, int(answer.headers["Age"]), answer.headers.get("Warning", "")

    # a connection that lived on may have confirmed it once more, less than the TTL of a second ago
    status, age, warning = await eventually(tag, "a stale tag", until=lambda told: told[1] >= 1)
    assert status == 200
    assert age >= 1
    assert warning.startswith("299 ")

    async def refused() -> None:
        async with world.client.get(f"{manifests}/unheard-of") as answer:
            assert answer.status == 503
            assert "Retry-After" in answer.headers
            assert "127.0.0.1" in await answer.text()

    _, seconds = await world.pauses.timed(refused())
    assert seconds < 10, "a parent that has never answered in this life may be far away"
    setattr(world.link.conditions, how, False)
    other = world.parent.add(pattern(MIB, seed=9))
    await eventually(
        lambda: world.get(world.blob(other)),
        "the parent to be asked again",
        seconds=60,
        pause=0.05,
        until=lambda answer: answer[0] == 200,
    )


async def test_a_stale_tag_is_answered_at_once_while_the_parent_hangs(behind_link: SiteBehindLink) -> None:
    world = behind_link
    world.parent.add_image("1", b"layer")
    url = f"{world.node.url}/v2/team/app/manifests/1"
    await world.start()
    assert (await world.get(url))[0] == 200
    world.link.conditions.hang = True
    await asyncio.sleep(3)
    await world.get(url)  # this one may find out that the parent hangs
    await asyncio.sleep(2)
    counts = world.link.counts
    passed = counts.requests - counts.pings
    assert (await world.get(url))[0] == 200
    assert counts.requests - counts.pings <= passed + 2


async def test_a_warm_pull_within_the_ttl_asks_nobody(behind_link: SiteBehindLink) -> None:
    world = behind_link
    layer = pattern(2 * MIB)
    digest = world.parent.add_image("1", layer)
    world.configure(workers=2, tags={"ttl": "10m"})
    await world.start()
    urls = [f"{world.node.url}/v2/team/app/manifests/{r}" for r in ("1", digest)] + [
        world.blob(Digest.of(layer))
    ]
    for url in urls:
        assert (await world.get(url))[0] == 200
    world.parent.requests.clear()
    for _ in range(4):  # whichever worker answers
        for url in urls:
            assert (await world.get(url))[0] == 200
    assert [r for r in world.parent.requests if r[1] != "/v2/"] == []


@pytest.mark.parametrize("what", ["vanished", "full"])
async def test_pulls_go_on_without_a_disk_and_it_comes_back(behind_link: SiteBehindLink, what: str) -> None:
    world = behind_link
    whole = pattern(5 * MIB)
    digest = world.parent.add(whole)
    store = world.node.folder / "store"
    if what == "full":
        world.configure(workers=2, store={"disk": {"path": str(store), "quota": 2 * MIB}})
    await world.start()
    if what == "vanished":  # away at once: the node may be writing into it
        shutil.rmtree(store.rename(world.node.folder / "gone"), ignore_errors=True)
    assert same(await world.get(world.blob(digest)), 200, whole)
    assert same(await world.get(world.blob(digest), (100, 2 * MIB)), 206, whole[100 : 2 * MIB])
    small = pattern(MIB, seed=4)
    other = world.parent.add(small)
    await eventually(lambda: world.keeps(other, small), "the disk to be written to again", pause=0.1)
