"""What a site does on a disk that turns read-only, is full, or answers with errors. Real file systems; needs root."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from registry_mesh.oci.digest import Digest
from tests.eventually import eventually
from tests.mesh.conftest import SiteBehindLink, same, site_behind_link
from tests.simulators.pauses import TICK, TRIES
from tests.suites.bytes_of import pattern

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts file systems"),
]

MIB = 1 << 20
SHUTDOWN = 0x8004587D
"""EXT4_IOC_SHUTDOWN: from then on everything answers EIO, as with a disk that was pulled out."""


def run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True)


class Disk:
    """A file system of its own, for `folder`/store."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "store"
        self._image = folder / "image"
        self.path.mkdir(parents=True)
        self._make()

    def _make(self) -> None:
        self._image.touch()
        os.truncate(self._image, 96 * MIB)
        run("mkfs.ext4", "-q", "-F", self._image)
        run("mount", "-o", "loop", self._image, self.path)

    def come_back(self) -> None:
        """As an operator would: whoever still has files open there keeps them, on the old mount."""
        run("umount", "-l", self.path)
        self._image = self._image.with_name("another-image")
        self._make()

    def turn_read_only(self) -> None:
        """As ext4 does by itself (errors=remount-ro) on a fault."""
        run("mount", "-o", "remount,abort", self.path)

    def fail(self) -> None:
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", 2))
        finally:
            os.close(fd)

    def fill(self) -> Path:
        """Until nothing more fits."""
        ballast = self.path / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(MIB))
            except OSError:
                pass
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        return ballast

    def close(self) -> None:
        subprocess.run(["umount", "-l", str(self.path)], check=False, capture_output=True)


@asynccontextmanager
async def disk_of(world: SiteBehindLink) -> AsyncIterator[Disk]:
    made = await asyncio.to_thread(Disk, world.node.folder)
    try:
        yield made
    finally:
        await world.kill()
        made.close()


@pytest_asyncio.fixture
async def disk(behind_link: SiteBehindLink) -> AsyncIterator[Disk]:
    async with disk_of(behind_link) as made:
        yield made


async def under_each_fault(
    folder: Path, bears: Callable[[SiteBehindLink, Disk, str], Awaitable[None]]
) -> None:
    """Whether a site bears a disk that turns read-only, answers errors, is full: three at once, for they wait."""
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as sites:
        for fault in ("read-only", "errors", "full"):
            world = await stack.enter_async_context(site_behind_link(folder / fault))
            disk = await stack.enter_async_context(disk_of(world))
            sites.create_task(bears(world, disk, fault), name=fault)


async def status(world: SiteBehindLink) -> dict[str, Any]:
    async with world.client.get(f"{world.node.admin}/readyz") as answer:
        assert answer.status == 200, "what can pull is ready"
    async with world.client.get(f"{world.node.admin}/status") as answer:
        told: dict[str, Any] = await answer.json()
    return told


async def alarm(world: SiteBehindLink, raised: bool) -> None:
    async def told() -> bool:
        return ((await status(world))["store"]["fault"] is not None) is raised

    await eventually(told, f"an alarm: {raised}", pause=0.3)
    async with world.client.get(f"{world.node.admin}/metrics") as answer:
        assert f"registry_mesh_store_faulty {float(raised)}" in await answer.text()


async def stored_again(world: SiteBehindLink, seed: int) -> None:
    data = pattern(2 * MIB, seed=seed)
    digest = world.parent.add(data)
    await eventually(lambda: world.keeps(digest, data), "the disk to be written to again", pause=0.1)


async def test_pulls_go_on_and_it_comes_back_without_a_restart(tmp_path: Path) -> None:
    await under_each_fault(tmp_path, pulls_go_on)


async def pulls_go_on(world: SiteBehindLink, disk: Disk, fault: str) -> None:
    held, cold = pattern(3 * MIB + 5), pattern(5 * MIB + 9, seed=1)
    warm, new = world.parent.add(held), world.parent.add(cold)
    image = world.parent.add_image("1", pattern(999, seed=7))
    await world.start()
    assert same(await world.get(world.blob(warm)), 200, held)
    await alarm(world, raised=False)
    ballast = None
    if fault == "read-only":
        disk.turn_read_only()
    elif fault == "errors":
        disk.fail()
    else:
        ballast = await asyncio.to_thread(disk.fill)
    for _ in range(3):
        assert same(await world.get(world.blob(warm)), 200, held)
        assert same(await world.get(world.blob(new)), 200, cold)
        assert same(await world.get(world.blob(new), (MIB, MIB + 70_000)), 206, cold[MIB : MIB + 70_000])
        for reference in ("1", image):
            url = f"{world.node.url}/v2/team/app/manifests/{reference}"
            assert (await world.get(url))[0] == 200
    if ballast is None:  # on a full disk the cache made room for what came
        await alarm(world, raised=True)
        await asyncio.sleep(6)
        assert world.node.log.read_text().count("the store cannot be written to") == 1
    if ballast is not None:
        ballast.unlink()
    else:
        await asyncio.to_thread(disk.come_back)
    await alarm(world, raised=False)
    await stored_again(world, seed=3)
    assert same(await world.get(world.blob(new)), 200, cold)


async def pull(world: SiteBehindLink, digest: Digest, *, cuts: bool) -> bytes:
    """The whole blob. `cuts`: pages that a body is being sent from may fail under it; then it is cut off, and the
    client goes on at the next byte, as containerd does. So it does where the parent, which stands in this loop, stood
    still."""
    got = bytearray()
    for _ in range(5 if cuts else TRIES):
        began = time.monotonic()
        headers = {"Range": f"bytes={len(got)}-"} if got else {}
        try:
            async with world.client.get(world.blob(digest), headers=headers) as answer:
                assert answer.status == (206 if got else 200)
                async for data in answer.content.iter_any():
                    got += data
            break
        except aiohttp.ClientPayloadError:
            await asyncio.sleep(2 * TICK)  # by then a pause is seen
            if not cuts and not world.pauses.stood_since(began):
                raise
    return bytes(got)


async def test_while_a_fill_runs(tmp_path: Path) -> None:
    await under_each_fault(tmp_path, a_fill_goes_on)


async def a_fill_goes_on(world: SiteBehindLink, disk: Disk, fault: str) -> None:
    whole = pattern(24 * MIB + 3)
    digest = world.parent.add(whole)
    world.link.conditions.rate = 12e6
    await world.start()
    readers = [asyncio.create_task(pull(world, digest, cuts=fault == "errors")) for _ in range(3)]
    ranged = asyncio.create_task(world.get(world.blob(digest), (20 * MIB, 21 * MIB)))
    await eventually(lambda: world.moved >= 8 * MIB, "8 MiB to cross the link")
    ballast = None
    if fault == "read-only":
        disk.turn_read_only()
    elif fault == "errors":
        disk.fail()
    else:
        ballast = await asyncio.to_thread(disk.fill)
    for reader in readers:
        assert (await reader) == whole  # bytes: compared fast
    assert same(await ranged, 206, whole[20 * MIB : 21 * MIB])
    world.link.conditions.rate = None
    assert same(await world.get(world.blob(digest)), 200, whole)
    if ballast is not None:
        ballast.unlink()
    else:
        await asyncio.to_thread(disk.come_back)
    await stored_again(world, seed=3)
    assert same(await world.get(world.blob(digest)), 200, whole)


async def test_without_a_quota_what_was_pulled_last_stays_on_a_small_disk(
    behind_link: SiteBehindLink, disk: Disk
) -> None:
    world = behind_link
    data = [pattern(8 * MIB + seed, seed=seed) for seed in range(16)]  # 128 MiB, and the disk has 96
    digests = [world.parent.add(each) for each in data]
    await world.start()
    for digest, each in zip(digests, data, strict=True):
        assert same(await world.get(world.blob(digest)), 200, each)
    world.link.reset_counts()
    assert same(await world.get(world.blob(digests[-1])), 200, data[-1])
    assert world.moved == 0
    # each process tells it once a second
    await eventually(
        lambda: evicted_bytes(world),
        "each process to tell what it evicted",
        pause=0.05,
        until=lambda told: told >= 32 * MIB,
    )
    assert (await status(world))["store"]["fault"] is None


async def evicted_bytes(world: SiteBehindLink) -> float:
    async with world.client.get(f"{world.node.admin}/metrics") as answer:
        told = (await answer.text()).splitlines()
    return sum(
        float(line.split()[1]) for line in told if line.startswith("registry_mesh_evicted_bytes_total")
    )
