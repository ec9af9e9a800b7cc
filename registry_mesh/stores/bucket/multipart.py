"""One multipart upload: a part is on its way while the next is collected.

All parts of an upload but the last have one size, as some servers (Cloudflare R2) demand. In memory of a stream are the
part on its way and at most `AHEAD` of the next: 24 MiB, at most 72 MiB where a large length was told, and 10 MiB of
most blobs whose length is known from the beginning.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from registry_mesh.ports.failures import Failure, StoreFull
from registry_mesh.stores.bucket.client import S3Client
from registry_mesh.stores.bucket.control import S3Control
from registry_mesh.stores.bucket.objects import Part
from registry_mesh.tasks.threads import offload

MiB: Final = 1 << 20
MOST_PARTS: Final = 10_000


AHEAD: Final = 8 * MiB
"""Bytes of a part that are collected while the one before is still on its way."""


LEAST_PART: Final = 16 * MiB
"""Bytes of a part where nothing is known of the whole: 156 GiB in 10,000 parts. A multiple of the chunks of a map."""

SMALLEST_PART: Final = 5 * MiB
"""Bytes of a part at least, but for the last, as S3 demands ("Amazon S3 multipart upload limits")."""

SPARE_PARTS: Final = 2_000
"""Part numbers of an upload that are left for those that are left out when it is gone on with (`uploads`)."""

MOST_PART: Final = 64 * MiB
"""Bytes of a part at most, for it is kept in memory until it has arrived."""

LARGEST: Final = MOST_PARTS * MOST_PART
"""Bytes of the largest blob that a bucket takes: 625 GiB."""


def part_size(size: int = 0) -> int:
    """Bytes of each part but the last of a blob that has at least `size` bytes. `StoreFull` beyond `LARGEST`."""
    if size > LARGEST:
        raise StoreFull(f"a blob of {size} bytes does not fit into a bucket: at most {LARGEST} (625 GiB) do")
    whole_mib = -(-size // (MOST_PARTS * MiB)) * MiB
    return max(LEAST_PART, whole_mib)


def part_size_of(whole: int) -> int:
    """Bytes of each part but the last of a blob of exactly `whole` bytes: as few as S3 takes up to 39 GiB, for those on
    their way are lost with the process. `StoreFull` beyond `LARGEST`."""
    if whole > LARGEST:
        return part_size(whole)
    needed = -(-whole // ((MOST_PARTS - SPARE_PARTS) * MiB)) * MiB
    return min(max(SMALLEST_PART, needed), MOST_PART)


def demand_room(more: int, left: int, room: int) -> None:
    """`StoreFull` where `more` bytes do not fit into the `left` ones of an upload in parts of `room` bytes."""
    if more > left:
        raise StoreFull(
            f"{more} bytes more do not fit into this upload: {left} do, in parts of {room}; begin anew with a request "
            f"that states the length of the whole (at most {LARGEST} bytes)"
        )


def md5(pieces: Sequence[bytes | memoryview]) -> bytes:
    """For Content-MD5: the one checksum of a body that every S3 checks."""
    hasher = hashlib.md5(usedforsecurity=False)
    for piece in pieces:
        hasher.update(piece)
    return hasher.digest()


class PartBuffer:
    """Collects pieces into one part without copying them."""

    def __init__(self) -> None:
        self.pieces: list[bytes | memoryview] = []
        self.size = 0

    def take(self, data: memoryview, most: int) -> memoryview:
        """Append what fits below `most` bytes; gives what was appended."""
        taken = data[: most - self.size]
        self.pieces.append(taken)
        self.size += len(taken)
        return taken

    def after(self, offset: int) -> bytes:
        """The bytes from `offset` on, in one."""
        return b"".join(self.pieces)[offset:]


class MultipartUpload:
    """A multipart upload of the object at `key`; begun with its first part."""

    def __init__(
        self,
        client: S3Client,
        control: S3Control,
        key: str,
        upload: str | None = None,
        parts: Sequence[Part] = (),
        number: int = 1,
        room: int = LEAST_PART,
    ) -> None:
        """`room`: bytes of each part but the last."""
        self._client = client
        self._control = control
        self.key = key
        self.upload = upload
        self.parts = list(parts)  # that have arrived
        self.number = number  # of the part that is next
        self.room = room
        self._sending: asyncio.Task[Part] | None = None

    @property
    def begun(self) -> bool:
        """Whether the bucket knows of it."""
        return self.upload is not None

    async def send(self, part: PartBuffer) -> None:
        """Begin to send the next part, once the one before has arrived."""
        if self.upload is None:
            self.upload = await self._control.begin(self.key)
        await self.arrived()
        if self.number > MOST_PARTS:
            demand_room(1, 0, self.room)
        self._sending = asyncio.create_task(self._send(self.upload, self.number, part.pieces))
        self.number += 1

    async def _send(self, upload: str, number: int, pieces: Sequence[bytes | memoryview]) -> Part:
        etag = await self._client.put_part(self.key, upload, number, pieces, await offload(md5, pieces))
        return Part(number, etag)

    @property
    def is_still(self) -> bool:
        """Whether no part is on its way any more."""
        return self._sending is None or self._sending.done()

    async def arrived(self) -> None:
        """Every part sent is in the bucket."""
        if self._sending is not None:
            self.parts.append(await self._sending)
            self._sending = None

    async def complete(self) -> None:
        """Join the parts into the object."""
        await self.arrived()
        assert self.upload is not None, "complete follows send"
        await self._control.complete(self.key, self.upload, self.parts)

    async def stop(self) -> None:
        """Wait for nothing that is on its way."""
        if self._sending is not None:
            self._sending.cancel()
            with suppress(asyncio.CancelledError, Failure):
                await self._sending
            self._sending = None

    async def abort(self) -> None:
        """Nothing of it stays."""
        await self.stop()
        if self.upload is not None:
            await self._control.abort(self.key, self.upload)
