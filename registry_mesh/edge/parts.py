"""The spans of one multipart answer: one after another while they are held; some ahead once one had to be fetched.

A client with 600 ranges over a line of 50 ms would else wait half a minute for what takes four seconds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Final

from registry_mesh.edge.ranges import OtherSize
from registry_mesh.edge.respond import pieces_of
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobSource, Piece, Reading
from registry_mesh.ports.failures import SourceLied

AHEAD: Final = 16
"""Spans on their way at once; each holds one piece at most."""


class Parts:
    """Reads `spans` of a blob of `size` bytes, each as a generator of its pieces, in their order."""

    def __init__(self, blobs: BlobSource, digest: Digest, size: int, spans: Sequence[Span]) -> None:
        self._blobs = blobs
        self._digest = digest
        self._size = size
        self._waiting = deque(spans)
        self._under_way: deque[_Ahead] = deque()
        self._cold = False

    async def close(self) -> None:
        """Everything that was opened is closed."""
        for each in self._under_way:
            await each.close()

    def next(self) -> AsyncGenerator[Piece, None]:
        """The next span's pieces; to be closed by their reader."""
        if self._cold:
            while self._waiting and len(self._under_way) < AHEAD:
                self._under_way.append(_Ahead(self._opened(self._waiting.popleft())))
        if self._under_way:
            return self._under_way.popleft().pieces()
        return self._opened(self._waiting.popleft())

    async def _opened(self, span: Span) -> AsyncGenerator[Piece, None]:
        async with self._open(span) as reading, aclosing(pieces_of(reading)) as pieces:
            self._cold = self._cold or not reading.provenance.hit
            async for piece in pieces:
                yield piece

    @asynccontextmanager
    async def _open(self, span: Span) -> AsyncIterator[Reading]:
        async with self._blobs.open(self._digest, span) as reading:
            if reading.info.size != self._size:
                raise OtherSize(reading.info.size)
            if reading.span != span:
                raise SourceLied("the source opened another span than was asked for")
            yield reading


class _Ahead:
    """A generator that a task of its own runs, one piece before it is asked for: a piece is good until the next
    one is asked for, so the task waits until then. It opens and closes in the same task."""

    def __init__(self, pieces: AsyncGenerator[Piece, None]) -> None:
        self._ready: asyncio.Queue[Piece | Exception | None] = asyncio.Queue(1)
        self._sent = asyncio.Event()
        self._task = asyncio.create_task(self._run(pieces))

    async def _run(self, pieces: AsyncGenerator[Piece, None]) -> None:
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    await self._ready.put(piece)
                    await self._sent.wait()
                    self._sent.clear()
        except Exception as fault:
            await self._ready.put(fault)
        else:
            await self._ready.put(None)

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        try:
            while (got := await self._ready.get()) is not None:
                if isinstance(got, Exception):
                    raise got
                yield got
                self._sent.set()
        finally:
            await self.close()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
