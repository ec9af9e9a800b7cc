"""Multipart answers (RFC 9110, 14.6): several spans of a blob in one body."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from registry_mesh.edge.exchange import Exchange
from registry_mesh.edge.head import Fields
from registry_mesh.edge.parts import Parts
from registry_mesh.edge.respond import send_pieces
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCTETS
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobSource, Piece
from registry_mesh.ports.failures import SourceLied


async def send_parts(
    exchange: Exchange, blobs: BlobSource, digest: Digest, size: int, spans: Sequence[Span], fields: Fields
) -> None:
    """Exactly these spans, in this order, of exact length."""
    boundary = secrets.token_hex(16)
    heads = [_part_head(boundary, span, size, first=not index) for index, span in enumerate(spans)]
    tail = f"\r\n--{boundary}--\r\n".encode()
    length = sum(map(len, heads)) + sum(map(len, spans)) + len(tail)
    fields = [*fields, ("Content-Type", f"multipart/byteranges; boundary={boundary}")]
    parts = Parts(blobs, digest, size, spans)
    try:
        await send_pieces(exchange, 206, fields, _body(parts, heads, spans, tail), length)
    finally:
        await parts.close()


async def _body(
    parts: Parts, heads: Sequence[bytes], spans: Sequence[Span], tail: bytes
) -> AsyncGenerator[Piece, None]:
    for head, span in zip(heads, spans, strict=True):
        left = len(span)
        async with aclosing(parts.next()) as pieces:
            async for piece in pieces:
                if left == len(span):
                    yield head  # not before there is a byte: a failure of the first part is an answer of its own
                left -= len(piece)
                yield piece
        if left:
            raise SourceLied(f"a part of {len(span)} bytes came with {len(span) - left}")
    yield tail


def _part_head(boundary: str, span: Span, size: int, *, first: bool) -> bytes:
    lead = "" if first else "\r\n"
    return (
        f"{lead}--{boundary}\r\nContent-Type: {OCTETS}\r\n"
        f"Content-Range: bytes {span.start}-{span.stop - 1}/{size}\r\n\r\n"
    ).encode()
