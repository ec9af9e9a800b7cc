"""Ranges of a blob that is on its way in are answered fast, too, where all of them is there."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

import pytest

from registry_mesh.chunks.chunk_map import CHUNK, MIB
from registry_mesh.edge.server import Server
from registry_mesh.ports.failures import StoreBroken
from registry_mesh.stores.disk.locks import try_flock
from tests.edge.twins import PART, PART_DATA, PART_DIGEST, Twins, ask, narrow, settled
from tests.eventually import eventually

FIELDS = [
    "Range: bytes=0-0\r\n",
    "Range: bytes=1000-70000\r\nUser-Agent: Go-http-client/1.1\r\nAccept-Encoding: identity\r\n",
    "Range: bytes=-5\r\n",
    "Range: bytes=16777219-\r\n",
    "Range: bytes=16777219-99999999\r\n",
    "Range: bytes=5-1\r\n",
    "Range: bytes=99999999-\r\n",
    "Range: bytes=0-0,5-9\r\n",
    "range: bytes=0-9\r\n",
    f'Range: bytes=0-9\r\nIf-Range: "{PART_DIGEST}"\r\n',
    f'If-None-Match: "{PART_DIGEST}"\r\n',
    "Range: bytes=0-9\r\nAuthorization: Basic eDp5\r\n",
]


def wants(start: int, stop: int) -> str:
    return f"GET {PART} HTTP/1.1\r\nHost: x\r\nRange: bytes={start}-{stop - 1}\r\n\r\n"


async def gets(server: Server, start: int, stop: int) -> bool:
    answer = await ask(server, wants(start, stop))
    return answer.startswith(b"HTTP/1.1 206 ") and answer.endswith(b"\r\n\r\n" + PART_DATA[start:stop])


def part_file(folder: Path) -> Path:
    return next(file for file in folder.rglob(f"{PART_DIGEST.hex}*") if file.stat().st_size == len(PART_DATA))


async def warm(twins: Twins) -> None:
    """Its first chunk and its last ones are there, and it is hot."""
    for start in (0, len(PART_DATA) - 5):
        assert await gets(twins.fast, start, start + 5)

    async def hot() -> list[bool]:
        assert await gets(twins.fast, 0, 5)
        return [entry.growing for entry in twins.hot.blobs.values()]

    assert await eventually(hot, "it to be hot") == [True]


async def test_what_is_there_does_not_reach_the_slow_path(twins: Twins, answered: list[bool]) -> None:
    await warm(twins)
    answered.clear()
    asked = len(twins.parent.seen)
    for span in ((0, 5), (7, 65_543), (CHUNK - 1, CHUNK), (16 * MIB, 16 * MIB + 5)):
        assert await gets(twins.fast, *span)
    assert answered == [True] * 4 and len(twins.parent.seen) == asked


async def test_it_gets_the_same_answer(twins: Twins) -> None:
    await warm(twins)
    for fields in FIELDS:
        request = f"GET {PART} HTTP/1.1\r\nHost: site\r\n{fields}\r\n"
        answers = [await ask(server, request) for server in (twins.fast, twins.slow)]
        assert settled(answers[0]) == settled(answers[1]), request
    assert [entry.growing for entry in twins.hot.blobs.values()] == [True]


async def test_what_is_not_there_yet_is_brought_and_then_there(twins: Twins, answered: list[bool]) -> None:
    await warm(twins)
    answered.clear()
    for expected in (False, True):
        assert await gets(twins.fast, 5 * MIB, 5 * MIB + 70_000)
        assert await gets(twins.fast, 0, 5)
        assert answered == [expected, True], "the rest of it stays hot"
        answered.clear()


async def test_a_sequence_is_fetched_ahead_of_who_reads_fast(twins: Twins, answered: list[bool]) -> None:
    await warm(twins)
    asked = []
    for server, begin in ((twins.slow, MIB), (twins.fast, 9 * MIB)):
        before = len(twins.parent.seen)
        for start in range(begin, begin + 7 * MIB, 64 << 10):
            assert await gets(server, start, start + (64 << 10))
            await asyncio.sleep(0.002)
        asked.append(len(twins.parent.seen) - before)
    assert asked[1] <= asked[0] + 1 < 7 * MIB // CHUNK, "fewer than it has chunks"
    assert any(answered)


async def test_it_goes_on_when_it_is_complete(twins: Twins, answered: list[bool]) -> None:
    await warm(twins)
    whole = f"GET {PART} HTTP/1.1\r\nHost: x\r\n\r\n"
    assert (await ask(twins.slow, whole)).endswith(PART_DATA)

    async def grown() -> bool:
        assert await gets(twins.fast, 0, 5)
        return not any(entry.growing for entry in twins.hot.blobs.values())

    await eventually(grown, "the part to be complete")

    async def fast() -> bool:
        assert await gets(twins.fast, 9 * MIB, 9 * MIB + 5)
        return answered[-1]

    await eventually(fast, "the fast way")
    assert [entry.growing for entry in twins.hot.blobs.values()] == [False]


async def test_what_nobody_asks_for_is_let_go(twins: Twins, tmp_path: Path) -> None:
    await warm(twins)
    twins.hot.idle = 0.1
    path = part_file(tmp_path)
    await eventually(lambda: not twins.hot.blobs and not twins.site.fills.open, "the end of the fill")

    def evictable() -> bool:
        with path.open("rb") as file:
            return try_flock(file.fileno(), shared=False)

    await eventually(evictable, "the file to be let go")


async def test_one_whose_disk_fails_as_it_is_let_go_does_not_keep_the_others(twins: Twins) -> None:
    await warm(twins)
    (entry,) = twins.hot.blobs.values()

    async def fails() -> None:
        raise StoreBroken("syncing: input/output error")

    entry.stack.push_async_callback(fails)
    twins.hot.idle = 0.1
    for _ in range(2):
        await eventually(lambda: not twins.hot.blobs, "the part to be closed")
        twins.hot.idle = 30
        await warm(twins)
        twins.hot.idle = 0.1


@pytest.mark.parametrize("how", ["written", "cut"])
async def test_a_file_that_somebody_else_touched_is_not_sent_from_unseen(
    twins: Twins, tmp_path: Path, answered: list[bool], how: str
) -> None:
    await warm(twins)
    path = part_file(tmp_path)

    async def noticed() -> bool:
        """After a touch. One that comes beside a write of ours, whose time the file has then, is not seen."""
        with path.open("r+b") as file:
            if how == "cut":
                file.truncate(CHUNK)
            else:
                file.seek(9 * MIB)
                file.write(b"x")
        answered.clear()
        assert await gets(twins.fast, 0, 5)
        return answered == [False]

    await eventually(noticed, "the slow path", pause=0.2)


async def test_a_client_whose_file_is_cut_meanwhile_hears_the_end_at_once(
    twins: Twins, tmp_path: Path, answered: list[bool]
) -> None:
    await warm(twins)
    assert await gets(twins.fast, 0, 4 * MIB)
    loop = asyncio.get_running_loop()
    with narrow(twins.fast) as sock:
        answered.clear()
        await loop.sock_sendall(sock, wants(0, 4 * MIB).encode())
        body = (await loop.sock_recv(sock, 4096)).partition(b"\r\n\r\n")[2]
        assert answered == [True]
        os.truncate(part_file(tmp_path), 3 * MIB)
        async with asyncio.timeout(20):
            with suppress(ConnectionResetError):
                while piece := await loop.sock_recv(sock, 1 << 16):
                    body += piece
    assert len(body) <= 3 * MIB and PART_DATA.startswith(body)
    assert twins.fast.running == 0 and not any(entry.sending for entry in twins.hot.blobs.values())


async def test_a_client_that_lags_keeps_it_not_and_is_cut_off_as_it_is_taken_away(
    twins: Twins, tmp_path: Path, answered: list[bool]
) -> None:
    await warm(twins)
    assert await gets(twins.fast, 0, 4 * MIB)
    loop, path = asyncio.get_running_loop(), part_file(tmp_path)
    (entry,) = twins.hot.blobs.values()
    with narrow(twins.fast) as sock, path.open("rb") as file:
        answered.clear()
        await loop.sock_sendall(sock, wants(0, 4 * MIB).encode())
        body = (await loop.sock_recv(sock, 4096)).partition(b"\r\n\r\n")[2]
        assert answered == [True] and entry.sending == 1

        def evictable() -> bool:
            entry.lagging = 1  # as it is after two looks, the first after ten seconds
            twins.hot.idle = 0.1
            return try_flock(file.fileno(), shared=False)

        await eventually(evictable, "the file to be let go")
        async with asyncio.timeout(20):
            with suppress(ConnectionResetError):
                while piece := await loop.sock_recv(sock, 1 << 16):
                    body += piece
    assert len(body) < 4 * MIB and PART_DATA.startswith(body)
    assert twins.fast.running == 0


async def test_few_of_them_are_kept_open(twins: Twins, answered: list[bool]) -> None:
    twins.hot.most = 7
    for _ in range(4):
        assert await gets(twins.fast, 0, 5)
        await asyncio.sleep(0.01)
    assert not twins.hot.blobs and answered == [False] * 4
