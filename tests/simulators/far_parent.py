"""A plain registry at the far end of a link, in a process of its own: a test that is busy does not hold it up.

It has several doors, all with the same behind them, and counts which bytes left by each.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized, SynchronizedArray

from aiohttp import web

from registry_mesh.oci.digest import Digest
from tests.suites.bytes_of import pattern

PIECE = 64 << 10


@dataclass(frozen=True, slots=True)
class FarParent:
    """`urls`: of its doors. `blobs`: the size of each, by its digest."""

    urls: tuple[str, ...]
    blobs: dict[str, int]
    _moved: Synchronized[int]
    _left: SynchronizedArray[int]
    """Bytes of each `PIECE` of all blobs, one after the other, that left: by the first door, then by the next."""

    @property
    def moved(self) -> int:
        """Bytes of bodies that left."""
        return self._moved.value

    def again(self, doors: Collection[int]) -> int:
        """Bytes that left by these doors, and had left by one of them before."""
        left = self._left[:]
        pieces = sum(map(_pieces, self.blobs.values()))
        by_door = [left[door * pieces : (door + 1) * pieces] for door in doors]
        return sum(max(0, sum(each) - PIECE) for each in zip(*by_door, strict=True))


def _pieces(size: int) -> int:
    return -(-size // PIECE)


@contextmanager
def far_parent(sizes: Sequence[int], rate: float, doors: int = 1) -> Iterator[FarParent]:
    """A parent with blobs of these sizes, which are whole pieces, all of whose answers together have `rate` bytes a
    second."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    moved: Synchronized[int] = context.Value("q", 0)
    left = context.Array("q", doors * sum(map(_pieces, sizes)))
    counts = moved, left
    process = context.Process(target=_run, args=(tuple(sizes), rate, doors, there, *counts), daemon=True)
    process.start()
    try:
        there.close()
        yield FarParent(*here.recv(), *counts)
    finally:
        process.kill()
        process.join()


def _run(
    sizes: Sequence[int],
    rate: float,
    doors: int,
    told: Connection,
    moved: Synchronized[int],
    left: SynchronizedArray[int],
) -> None:
    made = [pattern(size, number) for number, size in enumerate(sizes)]
    blobs = {str(Digest.of(data)): memoryview(data) for data in made}
    firsts = dict(zip(blobs, accumulate(map(_pieces, sizes), initial=0), strict=False))
    asyncio.run(_serve(_Registry(rate, moved, left, blobs, firsts), doors, told))


async def _serve(registry: _Registry, doors: int, told: Connection) -> None:
    urls = []
    for door in range(doors):
        runner = web.ServerRunner(web.Server(partial(registry.handle, door * registry.pieces)))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        urls.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
    told.send((tuple(urls), {digest: len(data) for digest, data in registry.blobs.items()}))
    await asyncio.Event().wait()


@dataclass
class _Registry:
    rate: float
    moved: Synchronized[int]
    left: SynchronizedArray[int]
    blobs: dict[str, memoryview]
    firsts: dict[str, int]
    """The number of each blob's first piece."""
    free_at: float = 0.0
    """When the link has sent what it was given."""

    @property
    def pieces(self) -> int:
        """Those of all blobs."""
        return sum(_pieces(len(data)) for data in self.blobs.values())

    async def handle(self, door: int, request: web.BaseRequest) -> web.StreamResponse:
        """`door`: the number of its first piece."""
        if request.path == "/v2/":
            return web.json_response({})
        digest = request.path.rpartition("/")[2]
        data = self.blobs.get(digest)
        if data is None:
            return web.Response(status=404)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        stop = min(len(data), int(asked[2]) + 1) if asked and asked[2] else len(data)
        answer = web.StreamResponse(status=206 if asked else 200)
        answer.content_length = stop - start
        if asked:
            answer.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        await answer.prepare(request)
        with suppress(ConnectionError):  # a server that was killed asked
            if request.method != "HEAD":
                await self._send(answer, data[:stop], start, door + self.firsts[digest])
            await answer.write_eof()
        return answer

    async def _send(self, answer: web.StreamResponse, data: memoryview, start: int, first: int) -> None:
        """From `start` to the end of `data`, whose first piece has the number `first`."""
        while start < len(data):
            piece = data[start : (start // PIECE + 1) * PIECE]
            await self._paced(len(piece))
            await answer.write(piece)
            self.moved.value += len(piece)
            self.left[first + start // PIECE] += len(piece)
            start += len(piece)

    async def _paced(self, size: int) -> None:
        """Until so many bytes may leave."""
        now = asyncio.get_running_loop().time()
        self.free_at = max(self.free_at, now) + size / self.rate
        await asyncio.sleep(self.free_at - now)
