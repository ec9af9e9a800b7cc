"""A blob as the body of a parent's answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, nullcontext

from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import PIECE, BlobInfo, DirectBody, Provenance, Streamed
from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.upstream.answer import Answer
from registry_mesh.upstream.health.stall import Stall
from registry_mesh.upstream.unpacked import Unpacked


class BlobReading(Streamed):
    """A reading of an answer's body. More or less than was announced is a failure, never an end."""

    def __init__(self, answer: Answer | Unpacked, info: BlobInfo, span: Span, skip: int) -> None:
        """`skip` bytes of the body come before the span."""
        self._answer = answer
        self._skip = skip
        self.info = info
        self.span = span
        self.provenance = Provenance(hit=False, source=answer.source, near=answer.near)

    def direct(self) -> AbstractContextManager[DirectBody | None]:
        """The body, to be received by the thread that stores it; None where bytes before the span are to be skipped."""
        if self._skip:
            return nullcontext()
        return self._answer.direct(len(self.span))

    async def begin(self, least: int) -> None:
        """See `Pieces.begin`. Where bytes before the span are to be skipped nothing is waited for."""
        if not self._skip:
            await self._answer.begin(min(least, len(self.span)))

    async def pieces(self) -> AsyncIterator[bytes]:
        """The bytes of the span as they come. `SourceUnavailable` where the parent stalls or ends too soon,
        `SourceLied` where it sends too much."""
        left, skip = len(self.span), self._skip
        with self._answer.stall() as stall:
            while left:
                data = await self._next(stall, left)
                if skip:
                    passed = min(skip, len(data))
                    skip -= passed
                    data = data[passed:]
                if len(data) > left:
                    data = data[:left]
                left -= len(data)
                for start in range(0, len(data), PIECE):
                    yield data[start : start + PIECE] if len(data) > PIECE else data

    async def _next(self, stall: Stall, left: int) -> bytes:
        """A buffer as it came, without joining several."""
        data = await self._answer.piece(stall)
        if not data:
            raise SourceUnavailable(f"broke off {left} bytes before the end", source=self.provenance.source)
        return data
