"""A plain registry at the far end of a link, in a process of its own: a test that is busy does not hold it up."""

from __future__ import annotations

import asyncio
import multiprocessing
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized

from aiohttp import web

from registry_mesh.oci.digest import Digest
from tests.suites.bytes_of import pattern

PIECE = 64 << 10


@dataclass(frozen=True, slots=True)
class FarParent:
    """`blobs`: the size of each, by its digest."""

    url: str
    blobs: dict[str, int]
    _moved: Synchronized[int]

    @property
    def moved(self) -> int:
        """Bytes of bodies that left."""
        return self._moved.value


@contextmanager
def far_parent(sizes: Sequence[int], rate: float) -> Iterator[FarParent]:
    """A parent with blobs of these sizes, all of whose answers together have `rate` bytes a second."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    moved: Synchronized[int] = context.Value("q", 0)
    process = context.Process(target=_run, args=(tuple(sizes), rate, there, moved), daemon=True)
    process.start()
    try:
        there.close()
        yield FarParent(*here.recv(), moved)
    finally:
        process.kill()
        process.join()


def _run(sizes: Sequence[int], rate: float, told: Connection, moved: Synchronized[int]) -> None:
    made = [pattern(size, number) for number, size in enumerate(sizes)]
    registry = _Registry(rate, moved, {str(Digest.of(data)): memoryview(data) for data in made})
    asyncio.run(_serve(registry, told))


async def _serve(registry: _Registry, told: Connection) -> None:
    runner = web.ServerRunner(web.Server(registry.handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sizes = {digest: len(data) for digest, data in registry.blobs.items()}
    told.send((f"http://127.0.0.1:{runner.addresses[0][1]}", sizes))
    await asyncio.Event().wait()


@dataclass
class _Registry:
    rate: float
    moved: Synchronized[int]
    blobs: dict[str, memoryview]
    free_at: float = 0.0
    """When the link has sent what it was given."""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/v2/":
            return web.json_response({})
        data = self.blobs.get(request.path.rpartition("/")[2])
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
                await self._send(answer, data[start:stop])
            await answer.write_eof()
        return answer

    async def _send(self, answer: web.StreamResponse, body: memoryview) -> None:
        for at in range(0, len(body), PIECE):
            piece = body[at : at + PIECE]
            await self._paced(len(piece))
            await answer.write(piece)
            self.moved.value += len(piece)

    async def _paced(self, size: int) -> None:
        """Until so many bytes may leave."""
        now = asyncio.get_running_loop().time()
        self.free_at = max(self.free_at, now) + size / self.rate
        await asyncio.sleep(self.free_at - now)
