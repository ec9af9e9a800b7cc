"""Readings of a pull-through: of the empty blob, of a fill under way, and past the store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, Protocol

from registry_mesh.content.fill.fill import Fill
from registry_mesh.content.fill.open_readings import OpenReading
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import HELD, BlobInfo, FileSlice, Piece, Provenance, Reading, Streamed

_JOINED: Final = "joined"


class Through(Protocol):
    """The pull-through that opened a reading, and sees to what becomes of it."""

    def pieces(self, fill: Fill, span: Span) -> AsyncIterator[Piece]:
        """Give the bytes of `span` as the fill brings them, and past the store where that fails."""
        ...

    def past(self, opened: Reading, span: Span) -> AsyncIterator[bytes]:
        """Give the bytes of `span` past the store, beginning with what is opened."""
        ...

    def ready(self, fill: Fill, span: Span) -> FileSlice | None:
        """See `Slices.ready`."""
        ...

    def unproven(self, fill: Fill, span: Span) -> bool:
        """Return whether nothing proves what of `span` leaves the fill now."""
        ...


class EmptyReading(Streamed):
    """A reading of the empty blob, which every registry has."""

    provenance = HELD

    def __init__(self, digest: Digest, span: Span) -> None:
        self.info = BlobInfo(digest, 0)
        self.span = span

    async def pieces(self) -> AsyncIterator[Piece]:
        return
        yield b""


class FillReading(Streamed):
    """A reading of a fill under way."""

    def __init__(
        self,
        through: Through,
        fill: Fill,
        opened: OpenReading,
        span: Span,
        *,
        hit: bool,
        joined: bool = False,
    ) -> None:
        self._through = through
        self._fill = fill
        self._open = opened
        self.info = BlobInfo(fill.digest, fill.size)
        self.span = span
        self._hit = hit
        self._joined = joined and not hit
        self._before = dict(fill.state.fetched_from) if joined else {}

    @property
    def provenance(self) -> Provenance:
        """As far as is known by now: whether a part of it is proven is, once its first bytes came; what it cost the
        link, at its end."""
        unproven = self._through.unproven(self._fill, self.span)
        near = "" if self._hit else self._near()
        return Provenance(hit=self._hit, unproven=unproven, joined=self._joined or near == _JOINED, near=near)

    def _near(self) -> str:
        """Where all that came meanwhile came from; empty where a parent gave some of it, `joined` where nothing came:
        another process of the node brought it."""
        state = self._fill.state
        came = {near for near, size in state.fetched_from.items() if size > self._before.get(near, 0)}
        if "" in came or state.unstorable is not None:
            return ""
        return max(came, default=_JOINED)

    @property
    def grows(self) -> bool:
        """Whether more of the blob may become ready."""
        return self._fill.grows

    def ready(self, span: Span) -> FileSlice | None:
        """The span as a slice of the partial file, if all of it is here and may leave."""
        return self._through.ready(self._fill, span) if self._open.wake() else None

    def rest(self, span: Span | None = None) -> bool:
        """The fill's blob may be evicted once all who have it open rest, and nothing brings more of it."""
        self._open.rest()
        return True

    def still(self, span: Span) -> bool:
        """Whether nothing of the blob was evicted."""
        return self._open.wake()

    def pieces(self) -> AsyncIterator[Piece]:
        """The pieces of the span as they come."""
        return self._through.pieces(self._fill, self.span)


class PastReading(Streamed):
    """A reading past the store."""

    def __init__(self, through: Through, opened: Reading, span: Span, *, proven: bool) -> None:
        self._through = through
        self._opened = opened
        self.info = opened.info
        self.span = span
        self.provenance = Provenance(hit=False, unproven=not proven and len(span) < opened.info.size)

    def pieces(self) -> AsyncIterator[Piece]:
        return self._through.past(self._opened, self.span)
