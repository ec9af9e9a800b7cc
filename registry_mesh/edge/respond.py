"""Answers that are made of a Reading: the head, then its pieces; or a cut, but never anything else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from types import AsyncGeneratorType
from typing import Final

from registry_mesh.edge.exchange import Exchange
from registry_mesh.edge.head import Fields
from registry_mesh.edge.patience import Watch
from registry_mesh.edge.wire.sending import TooSlow
from registry_mesh.oci.refusals import Refusal
from registry_mesh.ports.blobs import PIECE, FileSlice, Piece, Pieces, Provenance, Reading
from registry_mesh.ports.failures import Failure, SourceLied
from registry_mesh.ports.hops import HOPS

IMMUTABLE: Final = "max-age=31536000, immutable"
"""Cache-Control of what a digest names."""

NOSNIFF: Final = ("X-Content-Type-Options", "nosniff")
"""Bytes that somebody pushed are taken for nothing but what Content-Type says."""

log: Final = logging.getLogger(__name__)


def provenance_fields(exchange: Exchange, provenance: Provenance, *, cache: bool) -> Fields:
    """Cache-Status (RFC 9211), Age, and Warning where the answer is stale. An origin is no cache."""
    exchange.provenance = provenance
    fields: Fields = []
    if cache:
        status = f'"{exchange.settings.cache_name}"; {"hit" if provenance.hit else "fwd=uri-miss"}'
        if provenance.source and not provenance.hit:
            source = "".join(char for char in provenance.source if " " <= char <= "~" and char not in '"\\')
            status += f'; detail="{source}"'
        if provenance.unproven:
            status += "; unproven"
        if not provenance.hit and (hops := HOPS.get()) and hops.above:
            status = f"{hops.above}, {status}"  # the nearest cache last
        fields.append(("Cache-Status", status))
    if provenance.age is not None:
        fields.append(("Age", str(max(0, int(provenance.age)))))
    if provenance.stale:
        fields.append(("Warning", '299 - "served from what is held: no parent has confirmed it"'))
    return fields


def remembered_fields(exchange: Exchange, seconds: float) -> Fields:
    """Cache-Status of a refusal that is remembered for so much longer."""
    return [
        (
            "Cache-Status",
            f'"{exchange.settings.cache_name}"; hit; ttl={max(0, int(seconds))}; detail=negative',
        )
    ]


async def send_reading(
    exchange: Exchange, status: int, fields: Fields, reading: Reading, late: Callable[[], Fields] = list
) -> None:
    """Head and body of one opened span. `late`: fields that are known once its first bytes are here."""
    exchange.reading = reading
    await send_pieces(exchange, status, fields, pieces_of(reading), len(reading.span), late)


async def send_pieces(
    exchange: Exchange,
    status: int,
    fields: Fields,
    pieces: AsyncGenerator[Piece, None],
    length: int,
    late: Callable[[], Fields] = list,
) -> None:
    """Before the first byte a failure is raised, for an answer of its own; after it the connection is cut. The
    client's leaving closes the pieces at once, for the handler is cancelled."""
    async with aclosing(pieces):
        first = await anext(pieces, None) if length else None
        if first is None and length:
            raise SourceLied("the source gave no byte of what it opened")
        if first is not None and len(first) > length:
            raise SourceLied("the source gave more than it opened")
        await exchange.begin(status, [*fields, *late(), ("Content-Length", str(length))])
        if first is not None:
            exchange.sending = (length, exchange.wire.progress)
            with _Completed(exchange):
                await _send_pieces(exchange, first, pieces, length)


def pieces_of(reading: Pieces) -> AsyncGenerator[Piece, None]:
    """Its pieces, as something that can be closed."""
    iterator = reading.pieces()
    return iterator if isinstance(iterator, AsyncGeneratorType) else _closable(iterator)


async def _closable(iterator: AsyncIterator[Piece]) -> AsyncGenerator[Piece, None]:
    try:
        async for piece in iterator:
            yield piece
    finally:
        close = getattr(iterator, "aclose", None)  # AsyncIterator does not promise one, generators have it
        if close is not None:
            await close()


async def _send_pieces(exchange: Exchange, first: Piece, rest: AsyncIterator[Piece], length: int) -> None:
    left = length
    piece: Piece | None = first
    while piece is not None:
        left -= len(piece)
        if left < 0:
            raise SourceLied("the source gave more than it opened")
        await _send_piece(exchange, piece)
        piece = await anext(rest, None) if left else None
    if left:
        raise SourceLied(f"the source ended {left} bytes early without saying so")


async def _send_piece(exchange: Exchange, piece: Piece) -> None:
    if isinstance(piece, FileSlice):
        await exchange.wire.send_file(piece)
    else:
        await exchange.wire.send(piece)
        if len(piece) >= PIECE // 2:
            await asyncio.sleep(0)  # memory to a fast client: nothing above may ever have waited
    exchange.sent += len(piece)


class _Completed:
    """What happens inside must finish, or the connection is cut: also when a client is slow beyond measure."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        loop, patience = asyncio.get_running_loop(), exchange.settings.send_timeout
        self._watch = Watch(loop, exchange.laggards, patience, self._progress, self._lags, exchange.cut_slow)

    def _progress(self) -> int | None:
        wire = self._exchange.wire
        return wire.taken if wire.waiting else None

    def _lags(self) -> None:
        if self._exchange.reading is not None:
            self._exchange.wire.rest(self._exchange.reading)

    def __enter__(self) -> None:
        self._watch.begin()

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: object) -> None:
        self._watch.end()
        if kind is None:
            return
        if isinstance(fault, TooSlow):
            self._exchange.cut_slow()
            raise fault
        left = isinstance(fault, ConnectionError | asyncio.CancelledError)
        self._exchange.cut("client" if left else "source")
        if isinstance(fault, Failure | Refusal):
            log.warning(
                "request %s: body cut after %d bytes: %s", self._exchange.id, self._exchange.sent, fault
            )
            raise ConnectionAbortedError("body cut") from fault
