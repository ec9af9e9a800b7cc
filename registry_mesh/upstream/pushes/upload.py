"""One blob on its way to a registry (distribution-spec, "Pushing blobs"): mounted, sent whole, or sent in chunks.

A stream that breaks goes on at the byte that the registry names; so does the next process, for where the upload stands
is kept in records. A registry that refuses chunks is sent the blob in one request, and one that refuses large requests
smaller chunks. Where records cannot be written it goes on all the same, and the next process begins anew.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urljoin, urlsplit

from registry_mesh.auth.hosts import same_place
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.reference import RepositoryName
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobSource
from registry_mesh.ports.failures import SourceDenied, SourceRefused, SourceUnavailable, SourceUnreadable
from registry_mesh.ports.pieces import in_memory
from registry_mesh.ports.records import KeyedRecords
from registry_mesh.upstream.answer import Answer
from registry_mesh.upstream.pushes.place import UPLOAD, PushPlace, TooLarge
from registry_mesh.upstream.pushes.sent_whole import sent_whole
from registry_mesh.upstream.pushes.traits import Traits
from registry_mesh.upstream.pushes.upload_note import UploadNote, UploadNotes

CHUNK: Final = 8 << 20
"""Bytes of one request: what a broken connection costs at most, and what one stream keeps in memory."""
LARGEST: Final = 64 << 20
"""Bytes to which a registry may raise that by OCI-Chunk-Min-Length."""
HALVINGS: Final = 4
"""How often a chunk is halved where the registry refuses it as too large: to 512 KiB."""
TRIES: Final = 4
"""Attempts in a row that bring no byte further before giving up."""
SLOWEST: Final = 64 << 10
"""Bytes a second at which a chunk may go."""
HASHING: Final = 16 << 20
"""Bytes a second at which a registry may check, or copy, a blob before it answers that it has it."""

_RANGE: Final = re.compile(r"(?:bytes=)?0-(\d{1,18})")
_OCTETS: Final = {"Content-Type": "application/octet-stream"}
_NO_CHUNKS: Final = frozenset({405, 411, 415})
"""Statuses after which a chunk is not sent again."""


class NoChunks(SourceRefused):
    """The registry takes no chunk."""


class Upload:
    """Of one blob, into one repository. `chunk`: bytes of one request."""

    def __init__(
        self,
        place: PushPlace,
        blob: Descriptor,
        records: KeyedRecords,
        moved: Callable[[int], None],
        traits: Traits,
        chunk: int = CHUNK,
    ) -> None:
        self._place = place
        self._blob = blob
        self._traits = traits
        self._whole = traits.whole
        self._notes = UploadNotes(records, place, blob.digest)
        self._moved = moved
        self._chunk = min(chunk, traits.largest or chunk)
        self._smallest = chunk >> HALVINGS
        self._location = ""
        self._offset = self._counted = self._furthest = 0
        self._tries = 0
        self._is_straight = True  # every byte went once, in this process

    async def run(self, source: BlobSource, mount: RepositoryName | None) -> bool:
        """Send it, or mount it from `mount`, where the registry has it; gives whether it was mounted."""
        if not await self._resumed() and await self._begun(mount):
            return True
        try:
            await self._sent(source)
        except SourceRefused as refused:
            await self._notes.forget()
            if isinstance(refused, TooLarge) or not self._furthest + self._tries:
                raise
            await self._sent_in_one(source)
        await self._notes.forget()
        return False

    async def _sent(self, source: BlobSource) -> None:
        """In chunks as large as the registry takes."""
        while True:
            try:
                await self._chunks(source)
                await self._finish(source)
                return
            except TooLarge:
                if self._whole or self._chunk // 2 < self._smallest:
                    raise
                self._chunk = self._traits.largest = self._chunk // 2
                await self._find_out()

    async def _sent_in_one(self, source: BlobSource) -> None:
        """Once more, from the beginning, in one request. The registry is not sent chunks again where they alone can be
        to blame."""
        straight = self._is_straight
        await self._begun(None)
        self._count(0)
        await self._finish(source)
        self._traits.whole |= straight

    async def _begun(self, mount: RepositoryName | None) -> bool:
        """Begin anew; gives whether that mounted it. Where the other repository may not be read there, it is sent."""
        query = {"mount": str(self._blob.digest), "from": str(mount)} if mount is not None else {}
        try:
            async with self._place.request("POST", self._place.uploads, query=query, also=mount) as answer:
                if answer.status == 201 and mount is not None:
                    return True
                await self._place.expect(answer, UPLOAD, 202)
                self._begins(answer)
        except (SourceDenied, SourceRefused):
            if mount is None:
                raise
            return await self._begun(None)
        return False

    def _begins(self, answer: Answer) -> None:
        least = answer.field("OCI-Chunk-Min-Length")
        if least.isascii() and least.isdigit():
            self._smallest = min(int(least), LARGEST)
            self._chunk = max(self._chunk, self._smallest)
        self._offset = 0
        self._moves_to(answer)

    async def _resumed(self) -> bool:
        """Whether an upload that somebody broke off goes on, in chunks as large as the registry asked for then."""
        told = None if self._whole or self._blob.size <= self._chunk else await self._notes.read()
        if told is None or told.offset > self._blob.size:
            return False
        self._location, self._offset = told.location, told.offset
        self._chunk = max(self._chunk, min(told.chunk, LARGEST))
        self._traits.stale |= told.stale
        self._is_straight = False
        self._furthest = self._counted = self._offset if await self._asked() else 0
        return bool(self._furthest)

    async def _asked(self) -> bool:
        """Ask the registry how far the upload is; False where it knows nothing of it, or does not tell."""
        try:
            async with self._place.request("GET", self._location) as answer:
                if self._traits.stale and answer.status != 404:
                    return True
                told = _RANGE.fullmatch(answer.field("Range"))
                if answer.status != 204 or told is None or int(told[1]) >= self._blob.size:
                    return False
                self._offset = int(told[1]) + 1 if told[1] != "0" else 0
                self._moves_to(answer)
        except SourceRefused:
            return False
        return True

    async def _find_out(self) -> None:
        """Where to go on."""
        if not await self._asked():
            await self._begun(None)
        self._count(self._offset)

    async def _chunks(self, source: BlobSource) -> None:
        while self._offset < self._blob.size and self._blob.size > self._chunk and not self._whole:
            try:
                await self._send(source)
            except (TooLarge, NoChunks):
                raise
            except SourceUnavailable as failure:
                await self._recover(failure)

    async def _send(self, source: BlobSource) -> None:
        """The next chunk."""
        data = await self._read(source, Span(self._offset, min(self._blob.size, self._offset + self._chunk)))
        stop = self._offset + len(data)
        headers = {**_OCTETS, "Content-Range": f"{self._offset}-{stop - 1}"}
        beyond = len(data) / SLOWEST
        async with self._place.request("PATCH", self._location, headers, data, beyond=beyond) as answer:
            if answer.status in _NO_CHUNKS:
                self._tries += 1
                raise NoChunks(f"answered {answer.status} to a chunk", source=self._place.source)
            await self._place.expect(answer, "a chunk", 201, 202, 204, size=len(data))
            self._took(answer, stop)
        note = UploadNote(self._location, self._chunk, self._offset, self._traits.stale)
        await self._notes.keep(note)

    def _took(self, answer: Answer, stop: int) -> None:
        """The registry has all bytes before `stop`."""
        told = _RANGE.fullmatch(answer.field("Range"))
        self._traits.stale |= told is not None and int(told[1]) not in (0, stop - 1)
        self._offset = stop
        self._count(stop)
        if stop > self._furthest:
            self._furthest, self._tries = stop, 0
        self._moves_to(answer)

    async def _recover(self, failure: SourceUnavailable) -> None:
        """Find out where to go on after a chunk that failed, at last from the beginning; the failure is raised where
        that is no use."""
        self._tries += 1
        refuses_all = isinstance(failure, SourceRefused) and not self._furthest
        if failure.retry_after is not None or self._tries >= (2 if refuses_all else TRIES):
            raise failure
        self._is_straight = self._is_straight and isinstance(failure, SourceRefused)
        await asyncio.sleep(0.05 * 2**self._tries)
        if self._tries == TRIES - 1:
            await self._begun(None)
            self._count(0)
        else:
            await self._find_out()

    async def _finish(self, source: BlobSource) -> None:
        """The rest, and the digest."""
        sign = "&" if "?" in self._location else "?"
        path = f"{self._location}{sign}digest={self._blob.digest}"
        checked = self._blob.size / HASHING
        rest = Span(self._offset, self._blob.size)
        if len(rest) > self._chunk:
            await sent_whole(self._place, path, source, self._blob, self._count, checked)
            return
        data = await self._read(source, rest)
        beyond = len(data) / SLOWEST + checked
        async with self._place.request("PUT", path, _OCTETS, data, beyond=beyond) as answer:
            self._is_straight &= answer.status != 404  # the upload was forgotten
            await self._place.expect(answer, f"blob {self._blob.digest}", 201, size=len(data))
            self._count(self._blob.size)

    async def _read(self, source: BlobSource, span: Span) -> bytes:
        if not span:
            return b""
        async with source.open(self._blob.digest, span) as reading:
            return b"".join([piece async for piece in in_memory(reading)])

    def _count(self, sent: int) -> None:
        """So many bytes of the blob have been sent that need not be sent again."""
        if sent != self._counted:
            self._moved(sent - self._counted)
        self._counted = sent

    def _moves_to(self, answer: Answer) -> None:
        """Where the next request of the upload goes: the registry says so with every answer."""
        told = answer.field("Location")
        if not told:
            return
        url = urljoin(self._place.url, told)
        if not same_place(url, self._place.url):
            raise SourceUnreadable(
                f"wants uploads at {urlsplit(url).netloc}, which is another server: name it in parents",
                source=self._place.source,
            )
        parts = urlsplit(url)
        self._location = parts.path + (f"?{parts.query}" if parts.query else "")
