"""Between blobs of a store and files that threads work on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import BinaryIO, Final, TypeVar

from registry_mesh.content.variants.layer_tar import Unpacking, unpacking
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.blobs import BlobSource
from registry_mesh.ports.failures import StoreFull
from registry_mesh.ports.pieces import in_memory
from registry_mesh.ports.pushes import Pusher, Pushes
from registry_mesh.tasks.threads import offload

T = TypeVar("T")
WHO: Final = Pusher("variants")
_PIECE: Final = 1 << 20


class Unmakeable(Exception):
    """An image of which the variant cannot be made: `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Stopped(Exception):
    """Nobody waits for it any more."""


async def work(do: Callable[[Callable[[], None]], T]) -> T:
    """What `do` gives, in a thread; it is given what it is to call again and again, which ends it soon after this is
    cancelled. `Unmakeable`, `StoreFull`."""
    stop = Event()

    def go_on() -> None:
        if stop.is_set():
            raise _Stopped

    running = asyncio.ensure_future(offload(do, go_on))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.gather(running, return_exceptions=True)
        raise
    except (ValueError, EOFError) as fault:
        raise Unmakeable(str(fault)) from None
    except OSError as fault:
        raise StoreFull(f"no room to make variants in: {fault.strerror}") from None


async def unpacked(blobs: BlobSource, layer: Descriptor, folder: Path) -> BinaryIO:
    """A layer as a tar, in a file without a name. `Unmakeable`, `StoreFull`."""
    tar = await work(lambda go_on: unpacking(layer.media_type, layer.size, folder))
    summed = layer.digest.hasher()
    async with blobs.open(layer.digest) as reading:
        async for piece in in_memory(reading):
            summed.update(piece)
            await _fed(tar, piece)
    if summed.hexdigest() != layer.digest.hex:
        raise Unmakeable(f"layer {layer.digest} is not what it was")
    return await work(lambda go_on: tar.end())


async def _fed(tar: Unpacking, piece: bytes) -> None:
    await work(lambda go_on: tar.feed(piece))


async def push(pushes: Pushes, read: BinaryIO, head: bytes = b"") -> Descriptor:
    """Make what a file has, behind `head`, a blob of the repository; gives its digest and size."""
    upload = await pushes.begin(WHO)
    size = await offload(lambda: os.fstat(read.fileno()).st_size)
    async with pushes.append(WHO, upload.id, None, len(head) + size) as ingest:
        if head:
            await ingest.write(head)
        at = 0
        while data := await offload(os.pread, read.fileno(), _PIECE, at):
            await ingest.write(data)
            at += len(data)
        info = await ingest.commit()
    return Descriptor("", info.digest, info.size)


async def push_bytes(pushes: Pushes, data: bytes) -> Digest:
    """Make `data` a blob of the repository."""
    digest = Digest.of(data)
    async with pushes.monolithic(WHO, digest, len(data)) as ingest:
        await ingest.write(data)
        await ingest.commit(digest)
    return digest
