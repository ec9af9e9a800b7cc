"""A blob that its parent compresses on the way, though identity was asked for.

That bytes are labelled so proves nothing: buckets label layers, which are compressed, for what they are. Which it is
tells the digest, where the body has to be read to its end anyhow: an answer that is compressed as it is sent tells no
length.
"""

from __future__ import annotations

import zlib
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from registry_mesh.oci.digest import Digest
from registry_mesh.ports.blobs import DirectBody
from registry_mesh.ports.failures import SourceUnavailable, SourceUnreadable
from registry_mesh.tasks.threads import in_thread
from registry_mesh.upstream.answer import Answer
from registry_mesh.upstream.codings import WINDOW, is_packed
from registry_mesh.upstream.health.stall import Stall

COUNT_LIMIT: Final = 64 << 30
"""Bytes of a body without a length that are read to learn it: such a body need not end."""

SWELLS: Final = 200
"""Times its size to which a body may swell; one that swells more is a bomb, and taken as it came."""

_PIECE: Final = 1 << 20
"""Bytes that are unpacked at a time, however small they were."""


class Unpacking:
    """Undoes gzip, member after member, and deflate."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(WINDOW)
        self._rest = b""

    def put(self, data: bytes) -> None:
        """Take what came next."""
        self._rest += data

    def take(self) -> bytes:
        """The next bytes, some at a time; empty where more has to come first. `zlib.error`."""
        while self._rest:
            if self._inflater.eof:
                self._inflater = zlib.decompressobj(WINDOW)
            data = self._inflater.decompress(self._rest, _PIECE)
            ended = self._inflater.eof
            self._rest = self._inflater.unused_data if ended else self._inflater.unconsumed_tail
            if data:
                return data
        return b""


class Unpacked:
    """An answer whose body is unpacked as it comes."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._unpacking = Unpacking()

    @property
    def source(self) -> str:
        """The parent's name."""
        return self._answer.source

    @property
    def near(self) -> str:
        """See `Provenance.near`."""
        return self._answer.near

    def stall(self) -> Stall:
        """See `Answer.stall`."""
        return self._answer.stall()

    async def begin(self, least: int) -> None:
        """See `Answer.begin`."""
        await self._answer.begin(min(least, 1))

    async def piece(self, stall: Stall) -> bytes:
        """The next bytes; empty at the end."""
        try:
            while not (plain := self._unpacking.take()):
                if not (data := await self._answer.piece(stall)):
                    return b""
                self._unpacking.put(data)
        except zlib.error:
            raise SourceUnreadable("sent a compressed body that is damaged", source=self.source) from None
        return plain

    def direct(self, length: int) -> AbstractContextManager[DirectBody | None]:
        """None: its bytes are not those on the connection."""
        return nullcontext()


class _Plain:
    """What a body is made of, as far as it has come: its size and digest."""

    def __init__(self, digest: Digest) -> None:
        self._digest = digest
        self._hasher = digest.hasher()
        self._unpacking = Unpacking()
        self.size = 0

    def put(self, data: bytes, most: int) -> bool:
        """Take what came next; False where it is not as it is labelled, or swells beyond `most` bytes."""
        self._unpacking.put(data)
        try:
            while plain := self._unpacking.take():
                self._hasher.update(plain)
                self.size += len(plain)
                if self.size > most:
                    return False
        except zlib.error:
            return False
        return True

    @property
    def fits(self) -> bool:
        """Whether it has the digest."""
        return self._hasher.hexdigest() == self._digest.hex


async def counted(answer: Answer, digest: Digest) -> tuple[int, bool]:
    """The size of a blob whose answer does not tell it, by reading that to its end; and whether it is the unpacked body
    that has the digest."""
    size = 0
    plain = _Plain(digest) if is_packed(answer.field("Content-Encoding")) else None
    with answer.stall() as stall:
        while data := await answer.piece(stall):
            size += len(data)
            if plain is not None and not await in_thread(plain.put, data, SWELLS * size):
                plain = None
            if max(size, plain.size if plain is not None else 0) > COUNT_LIMIT:
                raise SourceUnavailable(
                    f"tells no length of a blob of more than {COUNT_LIMIT} bytes", source=answer.source
                )
    return (plain.size, True) if plain is not None and plain.fits else (size, False)
