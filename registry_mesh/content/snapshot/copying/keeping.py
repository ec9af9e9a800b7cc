"""What comes of a blob, kept on this machine before anybody else has a say about it.

So nothing that was received is lost with the process, however long a store takes for what came before. A body over
plain HTTP is received by the thread that writes it down.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Final

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.content.fill.watch import PaceWatch
from registry_mesh.ports.blobs import DirectBody, Reading
from registry_mesh.ports.pieces import in_memory
from registry_mesh.ports.remainders import Receive, Remainder

_AT_ONCE: Final = 4 * CHUNK
"""Bytes that the thread receives before the loop has a say again."""


async def kept_pieces(
    reading: Reading, remainder: Remainder, kept: Callable[[], int], watch: PaceWatch
) -> AsyncGenerator[bytes, None]:
    """The bytes of a reading, once `remainder` has them. `kept`: see `Remainder.write`. `watch` is told whether the
    source is waited for. To be closed."""
    with reading.direct() as body:
        if body is not None:
            async for piece in _received(body, reading, remainder, kept, watch):
                yield piece
            return
        at = reading.span.start
        watch.waiting = True
        async for data in in_memory(reading):
            watch.waiting = False
            await remainder.write(at, data, kept())
            at += len(data)
            yield data
            watch.waiting = True


async def _received(
    body: DirectBody, reading: Reading, remainder: Remainder, kept: Callable[[], int], watch: PaceWatch
) -> AsyncGenerator[bytes, None]:
    at, stop = reading.span.start, reading.span.stop
    buffer = memoryview(bytearray(CHUNK))
    while at < stop:
        watch.waiting = True
        await body.ready(min(CHUNK - at % CHUNK, stop - at))
        watch.waiting = False
        receive = _receiving(body, buffer, min(_AT_ONCE, stop - at))
        for piece in await remainder.write_from(at, receive, kept()):
            at += len(piece)
            yield piece


def _receiving(body: DirectBody, buffer: memoryview, left: int) -> Receive:
    """At most a chunk at a time, and no more than `left` bytes."""

    def receive() -> bytes:
        nonlocal left
        size = body.receive_into(buffer[:left]) if left else 0
        left -= size
        return bytes(buffer[:size])

    return receive
