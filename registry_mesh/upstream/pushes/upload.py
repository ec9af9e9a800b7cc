"""One blob on its way to a registry (distribution-spec, "Pushing blobs"): mounted, sent whole, or sent in chunks.

A stream that breaks goes on at the byte that the registry names; so does the next process, for where the upload stands
is kept in records. Where these cannot be written it goes on all the same, and the next process begins anew.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from registry_mesh.auth.hosts import same_place
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.reference import RepositoryName
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobSource
from registry_mesh.ports.failures import (
    SourceRefused,
    SourceUnavailable,
    SourceUnreadable,
    StoreBroken,
    StoreFull,
)
from registry_mesh.ports.pieces import in_memory
from registry_mesh.ports.records import KeyedRecords
from registry_mesh.upstream.answer import Answer
from registry_mesh.upstream.pushes.place import PushPlace

CHUNK: Final = 8 << 20
"""Bytes of one request: what a broken connection costs at most, and what one stream keeps in memory."""
LARGEST: Final = 64 << 20
"""Bytes to which a registry may raise that by OCI-Chunk-Min-Length."""
TRIES: Final = 4
"""Attempts in a row that bring no byte further before giving up."""
SLOWEST: Final = 64 << 10
"""Bytes a second at which a chunk may go."""
HASHING: Final = 16 << 20
"""Bytes a second at which a registry may check, or copy, a blob before it answers that it has it."""

_RANGE: Final = re.compile(r"(?:bytes=)?0-(\d{1,18})")
_OCTETS: Final = {"Content-Type": "application/octet-stream"}


class Upload:
    """Of one blob, into one repository. `chunk`: bytes of one request."""

    def __init__(
        self,
        place: PushPlace,
        blob: Descriptor,
        records: KeyedRecords,
        moved: Callable[[int], None],
        chunk: int = CHUNK,
    ) -> None:
        self._place = place
        self._blob = blob
        self._records = records
        self._moved = moved
        self._chunk = chunk
        self._key = f"receipts/uploads/{place.registry}/{place.name}/{blob.digest.hex}.json"
        self._location = ""
        self._offset = 0
        self._tries = 0

    async def run(self, source: BlobSource, mount: RepositoryName | None) -> bool:
        """Send it, or mount it from `mount`, where the registry has it; gives whether it was mounted."""
        if not await self._resumed() and await self._begun(mount):
            return True
        while self._offset < self._blob.size and self._blob.size > self._chunk:
            before = self._offset
            try:
                await self._send(source)
            except SourceUnavailable as failure:
                await self._recover(failure, before)
        try:
            await self._finish(source)
        except SourceRefused:
            await self._forget()
            raise
        await self._forget()
        return False

    async def _begun(self, mount: RepositoryName | None) -> bool:
        """Begin anew; gives whether that mounted it."""
        query = {"mount": str(self._blob.digest), "from": str(mount)} if mount is not None else {}
        async with self._place.request("POST", self._place.uploads, query=query, also=mount) as answer:
            if answer.status == 201 and mount is not None:
                return True
            self._place.expect(answer, 202)
            least = answer.field("OCI-Chunk-Min-Length")
            if least.isascii() and least.isdigit():
                self._chunk = max(self._chunk, min(int(least), LARGEST))
            self._offset = 0
            self._moves_to(answer)
        return False

    async def _resumed(self) -> bool:
        """Whether an upload that somebody broke off goes on, in chunks as large as the registry asked for then."""
        told = await self._kept()
        if told is None:
            return False
        self._location, self._chunk = told
        return await self._asked()

    async def _asked(self) -> bool:
        """Ask the registry how far the upload is; False where it knows nothing of it, or does not tell."""
        try:
            async with self._place.request("GET", self._location) as answer:
                told = _RANGE.fullmatch(answer.field("Range"))
                if answer.status != 204 or told is None or int(told[1]) >= self._blob.size:
                    return False
                self._offset = int(told[1]) + 1 if told[1] != "0" else 0
                self._moves_to(answer)
        except SourceRefused:
            return False
        return True

    async def _send(self, source: BlobSource) -> None:
        """The next chunk."""
        data = await self._read(source, Span(self._offset, min(self._blob.size, self._offset + self._chunk)))
        stop = self._offset + len(data)
        headers = {**_OCTETS, "Content-Range": f"{self._offset}-{stop - 1}"}
        beyond = len(data) / SLOWEST
        async with self._place.request("PATCH", self._location, headers, data, beyond=beyond) as answer:
            if answer.status not in (202, 204):
                raise SourceRefused(f"answered {answer.status} to a chunk", source=self._place.source)
            self._moved(len(data))
            self._offset, self._tries = stop, 0
            self._moves_to(answer)
        await self._keep()

    async def _recover(self, failure: SourceUnavailable, before: int) -> None:
        """Find out where to go on after a chunk that failed; the failure is raised where that is no use. Where the
        registry refuses chunks again and again, the next process begins anew."""
        self._tries += 1
        if failure.retry_after is not None or self._tries >= TRIES:
            if isinstance(failure, SourceRefused):
                await self._forget()
            raise failure
        await asyncio.sleep(0.05 * 2**self._tries)
        if not await self._asked():
            await self._begun(None)
        self._moved(self._offset - before)

    async def _finish(self, source: BlobSource) -> None:
        """The rest, and the digest."""
        data = await self._read(source, Span(self._offset, self._blob.size))
        beyond = len(data) / SLOWEST + self._blob.size / HASHING
        sign = "&" if "?" in self._location else "?"
        path = f"{self._location}{sign}digest={self._blob.digest}"
        async with self._place.request("PUT", path, _OCTETS, data, beyond=beyond) as answer:
            self._place.expect(answer, 201)
            self._moved(len(data))

    async def _read(self, source: BlobSource, span: Span) -> bytes:
        if not span:
            return b""
        async with source.open(self._blob.digest, span) as reading:
            return b"".join([piece async for piece in in_memory(reading)])

    async def _kept(self) -> tuple[str, int] | None:
        """Where an upload stands, and the bytes of its chunks; None where none was broken off."""
        if self._blob.size <= self._chunk:
            return None
        try:
            told: Any = json.loads(await self._records.get(self._key) or b"null")  # Any: JSON as it was kept
            return str(told["location"]), max(self._chunk, min(int(told["chunk"]), LARGEST))
        except (ValueError, TypeError, KeyError, StoreBroken):
            return None

    async def _keep(self) -> None:
        document = {"location": self._location, "chunk": self._chunk}
        with suppress(StoreFull, StoreBroken):
            await self._records.put(self._key, json.dumps(document).encode())

    async def _forget(self) -> None:
        if self._blob.size > self._chunk:
            with suppress(StoreFull, StoreBroken):
                await self._records.delete([self._key])

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
