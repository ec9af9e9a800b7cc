"""A blob that goes in one request: its bytes are read as the registry takes them, and not kept in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.ports.blobs import BlobSource
from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.ports.pieces import in_memory
from registry_mesh.upstream.pushes.place import PushPlace

SILENCE: Final = 60.0
"""Seconds for which the registry may take no byte."""
_NEVER: Final = 7 * 86400.0
"""Seconds: what ends it before is `SILENCE`."""


async def sent_whole(
    place: PushPlace,
    path: str,
    source: BlobSource,
    blob: Descriptor,
    count: Callable[[int], None],
    checked: float,
) -> None:
    """Send it to where an upload is finished. `count` is told how much of it has gone; `checked`: seconds that the
    registry may take to answer once it has all."""
    loop = asyncio.get_running_loop()
    guard = asyncio.timeout(SILENCE)

    async def pieces() -> AsyncIterator[bytes]:
        sent = 0
        async with source.open(blob.digest) as reading:
            async for piece in in_memory(reading):
                yield piece
                sent += len(piece)
                count(sent)
                guard.reschedule(loop.time() + SILENCE)
        guard.reschedule(loop.time() + SILENCE + checked)

    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)}
    try:
        async with (
            guard,
            place.request("PUT", path, headers, pieces, beyond=_NEVER) as answer,
        ):
            await place.expect(answer, f"blob {blob.digest}", 201, size=blob.size)
    except TimeoutError:
        count(0)
        raise SourceUnavailable(f"took no byte for {SILENCE:.0f} s", source=place.source) from None
    except BaseException:
        count(0)
        raise
