"""Bytes on their way into the bucket: a multipart upload that runs while they come.

The digest is known only at the end, and a server-side copy is slow and ends at 5 GiB. So bytes go to `data/<id>` and
become a blob by the create-only entry `blobs/<algorithm>/<hex>`. Of two that bring the same blob, one entry wins and
the other's bytes are dropped.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

from registry_mesh.chunks.chunk_map import ChunkMap, count
from registry_mesh.content.errors import Failure, StoreBroken, StoreFull
from registry_mesh.content.ports import BlobInfo
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.errors import DigestInvalid
from registry_mesh.stores.offload import offload
from registry_mesh.stores.s3_client import S3Client
from registry_mesh.stores.s3_control import S3Control
from registry_mesh.stores.s3_entry import (
    INLINE,
    SUMS_INLINE,
    Entry,
    data_key,
    entry_key,
    map_key,
    pending_key,
)
from registry_mesh.stores.s3_signing import UNSIGNED
from registry_mesh.stores.stream_sum import StreamSum

MiB: Final = 1 << 20
MOST_PARTS: Final = 10_000


def part_size(number: int) -> int:
    """Bytes of part `number`. 10,000 parts reach 113 GiB, with two parts of a stream in memory at most."""
    return 8 * MiB if number <= 1000 else 12 * MiB


class PartBuffer:
    """Collects pieces into one part without copying them."""

    def __init__(self) -> None:
        self.pieces: list[bytes | memoryview] = []
        self.size = 0

    def take(self, data: memoryview, most: int) -> memoryview:
        """Append what fits below `most` bytes; gives the rest."""
        cut = min(len(data), most - self.size)
        self.pieces.append(data[:cut] if cut < len(data) else data)
        self.size += cut
        return data[cut:]


def md5(pieces: Sequence[bytes | memoryview]) -> bytes:
    """For Content-MD5: the one checksum of a body that every S3 checks."""
    hasher = hashlib.md5(usedforsecurity=False)
    for piece in pieces:
        hasher.update(piece)
    return hasher.digest()


class Multipart:
    """One multipart upload: a part is on its way while the next is collected."""

    def __init__(self, client: S3Client, control: S3Control, key: str) -> None:
        self._client = client
        self._control = control
        self.key = key
        self.upload: str | None = None
        self._etags: list[str] = []
        self._sending: asyncio.Task[str] | None = None
        self._number = 1

    @property
    def begun(self) -> bool:
        return self.upload is not None

    @property
    def room(self) -> int:
        """Bytes of the part that is next."""
        return part_size(self._number)

    async def send(self, part: PartBuffer) -> None:
        """Begin to send the next part, when the one before has arrived."""
        if self.upload is None:
            self.upload = await self._control.begin(self.key)
        await self._arrived()
        if self._number > MOST_PARTS:
            raise StoreFull("a blob of more than 10,000 parts does not fit into a bucket")
        self._sending = asyncio.create_task(self._send(self.upload, self._number, part.pieces))
        self._number += 1

    async def _send(self, upload: str, number: int, pieces: Sequence[bytes | memoryview]) -> str:
        return await self._client.put_part(self.key, upload, number, pieces, await offload(md5, pieces))

    async def _arrived(self) -> None:
        if self._sending is not None:
            self._etags.append(await self._sending)
            self._sending = None

    async def complete(self) -> None:
        """All parts have been sent: join them."""
        await self._arrived()
        assert self.upload is not None, "complete follows send"
        await self._control.complete(self.key, self.upload, self._etags)

    async def abort(self) -> None:
        """Nothing of it stays."""
        if self._sending is not None:
            self._sending.cancel()
            with suppress(asyncio.CancelledError, Failure):
                await self._sending
        if self.upload is not None:
            await self._control.abort(self.key, self.upload)


class S3Ingest:
    """A blob on its way in. `committed` is told of the entry that holds it in the end."""

    def __init__(
        self,
        client: S3Client,
        control: S3Control,
        algorithm: str,
        lookup: Callable[[Digest], Awaitable[Entry | None]],
        expected: Digest | None = None,
    ) -> None:
        self._client = client
        self._control = control
        self._lookup = lookup
        self._expected = expected
        self._name = uuid.uuid4().hex
        self._sum = StreamSum(algorithm)
        self._part = PartBuffer()
        self._multipart = Multipart(client, control, data_key(self._name))
        self._stored = False  # data/<id> is there
        self._deciding = False  # the entry may be there and point at data/<id>
        self.entry: Entry | None = None
        self.offset = 0

    async def write(self, data: bytes) -> None:
        await self._sum.update(data)
        self.offset += len(data)
        rest = memoryview(data)
        while rest:
            rest = self._part.take(rest, self._multipart.room)
            if self._part.size == self._multipart.room:
                part, self._part = self._part, PartBuffer()
                await self._multipart.send(part)

    async def commit(self, expected: Digest | None = None) -> BlobInfo:
        digest, chunk_map = await self._sum.finish()
        for wanted in (expected, self._expected):
            if wanted is not None and wanted != digest:
                raise DigestInvalid(given=str(wanted), found=str(digest))
        self.entry = await self._lookup(digest) or await self._decide(digest, chunk_map)
        return self.entry.info

    async def _decide(self, digest: Digest, chunk_map: ChunkMap) -> Entry:
        """Store the bytes, then be the one whose entry is created; or take the entry of the one who was."""
        entry = self._entry(digest, chunk_map)
        if entry.inline is None:
            await self._client.put(pending_key(self._name), str(digest).encode())
            await self._store(entry, chunk_map)
        self._deciding = True
        if await self._client.create(entry_key(digest), entry.encode()):
            if entry.inline is None:
                with suppress(Failure):  # the sweep will find that it is settled
                    await self._client.delete(pending_key(self._name))
            self._stored = False
            return entry
        other = await self._lookup(digest)
        if other is None:  # it was there, and has just been deleted
            return await self._again(entry)
        self._deciding = False
        return other

    async def _again(self, entry: Entry) -> Entry:
        if not await self._client.create(entry_key(entry.digest), entry.encode()):
            raise StoreBroken(f"{entry.digest} comes and goes in the bucket")
        self._stored = False
        return entry

    def _entry(self, digest: Digest, chunk_map: ChunkMap) -> Entry:
        now = time.time()
        if self.offset <= INLINE and not self._multipart.begun:
            return Entry(digest, self.offset, now, inline=b"".join(self._part.pieces))
        if count(self.offset) <= SUMS_INLINE:
            return Entry(digest, self.offset, now, self._name, sums=chunk_map.sums)
        encoded = hashlib.sha256(chunk_map.encode()).hexdigest()
        return Entry(digest, self.offset, now, self._name, map_sum=encoded)

    async def _store(self, entry: Entry, chunk_map: ChunkMap) -> None:
        """The bytes and the map, whole, in the bucket."""
        self._stored = True
        if self._multipart.begun:
            if self._part.size:
                await self._multipart.send(self._part)
            await self._multipart.complete()
        else:
            payload = entry.digest.hex if entry.digest.algorithm == "sha256" else UNSIGNED
            sums = await offload(md5, self._part.pieces)
            await self._client.put_object(data_key(self._name), self._part.pieces, payload, sums)
        if entry.map_sum:
            await self._client.put(map_key(self._name), chunk_map.encode())

    async def close(self) -> None:
        """Drop what is not needed: all of it without commit, our copy where another's entry won."""
        if self.entry is None or self.entry.name != self._name:
            await self._multipart.abort()
        if self._stored and not self._deciding:
            await self._control.delete([data_key(self._name), map_key(self._name), pending_key(self._name)])
