"""Bytes on their way into the bucket: a multipart upload that runs while they come.

The digest is known only at the end, and a server-side copy is slow and ends at 5 GiB. So bytes go to `data/<id>` and
become a blob by the create-only entry `blobs/<algorithm>/<hex>`. Of two that bring the same blob, one entry wins and
the other's bytes are dropped.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from typing import Final

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.chunks.map_format import encode
from registry_mesh.oci.digest import Digest, Hasher, new_hasher
from registry_mesh.oci.refusals import DigestInvalid
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo
from registry_mesh.ports.failures import Failure, StoreBroken
from registry_mesh.stores.bucket.client import S3Client
from registry_mesh.stores.bucket.control import S3Control
from registry_mesh.stores.bucket.entry import (
    INLINE,
    Entry,
    data_key,
    entry_key,
    map_key,
    pending_key,
)
from registry_mesh.stores.bucket.multipart import AHEAD, MultipartUpload, PartBuffer, md5, part_size
from registry_mesh.stores.bucket.signing import UNSIGNED
from registry_mesh.stores.stream_sum import StreamSum
from registry_mesh.tasks.threads import offload
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)

Lookup = Callable[[Digest], Awaitable[Entry | None]]


@dataclass
class Intake:
    """Where a stream of bytes stands: everything that must be known to go on with it."""

    name: str
    sum: StreamSum
    multipart: MultipartUpload
    part: PartBuffer = field(default_factory=PartBuffer)
    offset: int = 0

    @classmethod
    def begin(cls, client: S3Client, control: S3Control, algorithm: str, size: int = 0) -> Intake:
        """Of a blob of at least `size` bytes. `StoreFull` where a bucket takes none so large."""
        name = uuid.uuid4().hex
        multipart = MultipartUpload(client, control, data_key(name), room=part_size(size))
        return cls(name, StreamSum.begin(algorithm), multipart)

    async def take(self, rest: memoryview) -> memoryview:
        """Take what fits into the part that is being collected, and send it when it is full; gives the rest."""
        room = self.multipart.room
        if self.part.size == AHEAD:
            await self.multipart.arrived()
        taken = self.part.take(rest, room if self.part.size >= AHEAD else min(AHEAD, room))
        await self.sum.update(taken)
        self.offset += len(taken)
        if self.part.size == room:
            part, self.part = self.part, PartBuffer()
            await self.multipart.send(part)
        return rest[len(taken) :]


class S3Ingest:
    """A blob on its way in. After commit, `entry` is the one that holds it."""

    def __init__(
        self,
        client: S3Client,
        control: S3Control,
        intake: Intake,
        lookup: Lookup,
        expected: Digest | None = None,
    ) -> None:
        self._client = client
        self._control = control
        self._intake = intake
        self._lookup = lookup
        self._expected = expected
        self.stored = False  # data/<id> may be there, without an entry
        self._deciding = False  # the entry may be there and point at data/<id>
        self.entry: Entry | None = None

    @property
    def offset(self) -> int:
        """Return how many bytes came so far."""
        return self._intake.offset

    async def write(self, data: bytes) -> None:
        """Take the bytes in; a part that is full is sent. `StoreFull`, `StoreBroken`."""
        rest = memoryview(data)
        while rest:
            rest = await self._intake.take(rest)

    async def commit(self, expected: Digest | None = None) -> BlobInfo:
        """Make what came the blob, or find the one that is there. `DigestInvalid` where it has another digest."""
        digest, chunk_map = await self._intake.sum.finish()
        wanted = expected or self._expected
        if digest is None or (wanted and wanted.algorithm != digest.algorithm):
            digest = await self._hash_anew(wanted.algorithm if wanted else self._intake.sum.algorithm)
        for each in (expected, self._expected):
            if each is not None and each != digest:
                raise DigestInvalid(given=str(each), computed=str(digest))
        self.entry = await self._lookup(digest) or await self._decide(digest, chunk_map)
        return self.entry.info

    async def _decide(self, digest: Digest, chunk_map: ChunkMap) -> Entry:
        """Store the bytes, then be the one whose entry is created; or take the entry of the one who was."""
        entry = self._entry(digest, chunk_map)
        if entry.inline is None:
            await self._client.put(pending_key(entry.name), str(digest).encode())
            await self._store(digest)
            if entry.root:
                await self._client.put(map_key(entry.name), encode(chunk_map, digest))
        self._deciding = True
        won = await self._create(entry)
        self._deciding = False
        if won is not entry:
            return won
        self.stored = False  # it belongs to the entry now
        if entry.inline is None:
            with suppress(Failure):  # the sweep will find that it is settled
                await self._client.delete(pending_key(entry.name))
        return entry

    async def _create(self, entry: Entry) -> Entry:
        for _ in range(3):
            if await self._client.create(entry_key(entry.digest), entry.encode()):
                return entry
            other = await self._lookup(entry.digest)
            if other is not None:
                return other
        raise StoreBroken(f"{entry.digest} comes and goes in the bucket")

    def _entry(self, digest: Digest, chunk_map: ChunkMap) -> Entry:
        intake = self._intake
        entry = Entry(digest, intake.offset, time.time(), intake.name)
        if intake.offset <= INLINE and not intake.multipart.begun:
            return replace(entry, name="", inline=intake.part.after(0))
        return entry.mapped(chunk_map)

    async def _store(self, digest: Digest) -> None:
        """The bytes, whole, in the bucket."""
        intake = self._intake
        if self.stored:
            return
        self.stored = True
        if intake.multipart.begun:
            if intake.part.size:
                await intake.multipart.send(intake.part)
            await intake.multipart.complete()
        else:
            payload = digest.hex if digest.algorithm == "sha256" else UNSIGNED
            sums = await offload(md5, intake.part.pieces)
            await self._client.put_object(data_key(intake.name), intake.part.pieces, payload, sums)

    async def _hash_anew(self, algorithm: str) -> Digest:
        """Another algorithm than the upload began with, or one whose state was lost: read what was stored."""
        hasher, intake = new_hasher(algorithm), self._intake
        if not intake.multipart.begun:
            await offload(_update, hasher, intake.part.pieces)
        else:
            await self._client.put(pending_key(intake.name), b"")
            await self._store(Digest(algorithm, ""))
            whole = Span(0, intake.offset)
            async with aclosing(self._client.pieces(data_key(intake.name), whole, intake.offset)) as pieces:
                async for piece in pieces:
                    await offload(hasher.update, piece)
        return Digest(algorithm, hasher.hexdigest())

    async def close(self) -> None:
        """Drop what is not needed: all of it without commit, our copy where another's entry won. What cannot be
        dropped now is left to the sweep: it is nobody's fault who brings or reads blobs."""
        try:
            await self._drop()
        except Failure as fault:
            log.warning("cannot tidy up in the bucket; the sweep will", extra={FIELDS: {"why": fault.reason}})

    async def _drop(self) -> None:
        name = self._intake.name
        if self.entry is None or self.entry.name != name:
            await self._intake.multipart.abort()
        if self.stored and not self._deciding:
            await self._control.delete([data_key(name), map_key(name), pending_key(name)])


def _update(hasher: Hasher, pieces: list[bytes | memoryview]) -> None:
    for piece in pieces:
        hasher.update(piece)
