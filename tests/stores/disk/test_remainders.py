"""Remainders in files: what is there without a gap, whose folder it is, and what is removed."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from registry_mesh.chunks.chunk_map import CHUNK, MIB
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.ports.remainders import NOTHING, Remainder
from registry_mesh.stores.disk.remainders import EXPIRY, DiskRemainders
from tests.simulators.images import random_bytes

DATA = random_bytes("a layer", 12 * MIB)
DIGEST = Digest.of(DATA)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "arriving"


@pytest.fixture
async def remainder(folder: Path) -> AsyncIterator[Remainder]:
    async with DiskRemainders(folder).of(DIGEST) as opened:
        yield opened


async def after(remainder: Remainder, offset: int) -> bytes:
    return b"".join([data async for data in remainder.after(offset)])


async def fill(remainder: Remainder, begin: int, end: int, kept: int = 0) -> None:
    for offset in range(begin, end, 50_000):
        await remainder.write(offset, DATA[offset : min(end, offset + 50_000)], kept)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_all_but_a_chunk_of_what_came_is_there_for_the_next(remainder: Remainder, folder: Path) -> None:
    await fill(remainder, 0, 3 * MIB)
    there = await after(remainder, 100)
    assert DATA[100:].startswith(there)
    assert 3 * MIB - 100 - len(there) < CHUNK
    assert await after(remainder, 5 * MIB) == b""


async def test_what_the_store_has_takes_no_room_and_is_not_given(remainder: Remainder, folder: Path) -> None:
    await fill(remainder, 0, 12 * MIB, kept=0)
    await remainder.write(12 * MIB, bytes(CHUNK), kept=11 * MIB)
    assert sum(file.stat().st_size for file in files(folder)) <= 6 * MIB
    assert await after(remainder, MIB) == b""
    assert await after(remainder, 11 * MIB) == DATA[11 * MIB :] + bytes(CHUNK)


async def test_the_next_process_finds_what_each_stream_brought(folder: Path) -> None:
    async with DiskRemainders(folder).of(DIGEST) as remainder:
        for offset in range(0, 6 * MIB, CHUNK):
            for begin in (0, 6 * MIB):
                data = DATA[begin + offset : begin + offset + CHUNK]
                await remainder.write(begin + offset, data, kept=0)
    async with DiskRemainders(folder).of(DIGEST) as remainder:
        starts = [(span.start, span.stop) for span in remainder.spans()]
        assert starts[0][0] == 0
        assert starts[-1][1] == 12 * MIB
        assert await after(remainder, 0) == DATA
        await remainder.write(12 * MIB, bytes(CHUNK), kept=7 * MIB)
        assert await after(remainder, 0) == b""
        assert await after(remainder, 11 * MIB) == DATA[11 * MIB :] + bytes(CHUNK)


async def test_what_is_received_is_kept_before_more_is(remainder: Remainder, folder: Path) -> None:
    begin, seen = 3 * MIB, list[int]()

    def receive() -> bytes:
        seen.append(sum(file.stat().st_size for file in files(folder)))
        return DATA[begin + seen[-1] :][: 100_000 if seen[-1] < 500_000 else 0]

    got = await remainder.write_from(begin, receive, 0)
    assert seen == [0, 100_000, 200_000, 300_000, 400_000, 500_000]
    assert b"".join(got) == await after(remainder, begin) == DATA[begin : begin + 500_000]


async def test_a_stream_that_breaks_gives_what_it_brought_before(remainder: Remainder) -> None:
    pieces = [DATA[:1000]]

    def receive() -> bytes:
        if not pieces:
            raise SourceUnavailable("broke off")
        return pieces.pop()

    assert await remainder.write_from(0, receive, 0) == [DATA[:1000]]
    with pytest.raises(SourceUnavailable):
        await remainder.write_from(1000, receive, 0)


async def test_there_is_a_gap_where_nothing_came(remainder: Remainder) -> None:
    await fill(remainder, 0, MIB)
    await fill(remainder, 2 * MIB, 3 * MIB)
    for begin, end in ((0, MIB), (2 * MIB, 3 * MIB)):
        there = await after(remainder, begin)
        assert DATA[begin:end].startswith(there)
        assert end - begin - len(there) < CHUNK
    assert [span.start for span in remainder.spans()] == [0, 2 * MIB]


async def test_for_a_second_process_it_is_empty(remainder: Remainder, folder: Path) -> None:
    await fill(remainder, 0, MIB)
    async with DiskRemainders(folder).of(DIGEST) as second:
        assert second is NOTHING
        await fill(second, 0, MIB)
        assert await after(second, 0) == b""
    assert await after(remainder, 0)


async def test_what_is_forgotten_or_of_another_boot_or_of_yesterday_is_gone(folder: Path) -> None:
    async with DiskRemainders(folder).of(DIGEST) as remainder:
        await fill(remainder, 0, MIB)
    lock, file = sorted(files(folder))
    other = folder / "another-boot"
    other.mkdir()
    (other / file.name).write_bytes(DATA)
    (file.parent / "sha256-old").write_bytes(DATA)
    os.utime(file.parent / "sha256-old", (0, time.time() - EXPIRY - 60))
    async with DiskRemainders(folder).of(DIGEST) as remainder:
        assert sorted(files(folder)) == [lock, file]
        assert await after(remainder, 0)
        await remainder.forget()
    assert files(folder) == []


async def test_a_folder_that_others_may_write_to_is_not_used(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    async with DiskRemainders(folder).of(DIGEST) as remainder:
        assert remainder is NOTHING
    assert list(folder.iterdir()) == []


async def test_a_link_in_the_place_of_its_folder_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis").write_text("words")
    folder.symlink_to(tmp_path / "home")
    async with DiskRemainders(folder).of(DIGEST) as remainder:
        assert remainder is NOTHING
    assert (tmp_path / "home" / "thesis").read_text() == "words"


async def test_a_disk_that_takes_no_more_keeps_nothing_and_stops_nobody(
    remainder: Remainder, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, before[1]))
    try:
        await fill(remainder, 0, 3 * MIB)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert files(folder) == []
    assert [record.message for record in caplog.records] == [
        "what comes of a blob is not kept beside the store: a killed run would fetch it again"
    ]
