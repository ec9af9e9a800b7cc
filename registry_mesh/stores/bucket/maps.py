"""Chunk maps that lie in a bucket as objects of their own.

A map of version 2 is read as far as it is needed: its head, which its root proves, and the pages of a span, which the
head proves. One of version 1 is read whole.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from hashlib import sha256
from typing import Final

from registry_mesh.chunks.chunk_map import PAGE, ChunkMap, ChunkMapInvalid, count, pages_over
from registry_mesh.chunks.map_format import MapShape, decode, encode, encode_old, joined, root
from registry_mesh.chunks.sums import SumAlgorithm
from registry_mesh.oci.span import Span
from registry_mesh.stores.bucket.client import S3Client
from registry_mesh.stores.bucket.entry import Entry, map_key
from registry_mesh.stores.bucket.errors import ObjectMissing

WHOLE: Final = 64 << 10
"""Bytes of a map up to which it is read whole, in one request."""


async def read_map(client: S3Client, entry: Entry, span: Span | None) -> ChunkMap:
    """The chunk map of a blob, at least what proves `span` (None: all). `ObjectMissing`, `StoreBroken`;
    `ChunkMapInvalid` where it is not the one that the entry names."""
    if span is None or entry.map_sum:
        return checked(await _whole(client, entry), entry)
    shape = _shape(entry)
    if shape.length <= WHOLE:
        return checked(await _whole(client, entry), entry)
    pages = pages_over(span, entry.size)
    at, length = shape.sums_of(range(pages.start * PAGE, min(pages.stop * PAGE, count(entry.size))))
    head, sums = await asyncio.gather(
        _part(client, entry, Span(0, shape.follow_at), shape.length),
        _part(client, entry, Span(at, at + length), shape.length),
    )
    return checked(joined(head, pages, sums), entry)


def checked(encoded: bytes, entry: Entry) -> ChunkMap:
    """The map, if it is the one that the entry names, or a part of that; `ChunkMapInvalid`."""
    found = decode(encoded, entry.size, entry.digest)
    named = sha256(encoded).hexdigest() == entry.map_sum if entry.map_sum else False
    if not named and root(found, entry.digest) != entry.root:
        raise ChunkMapInvalid("it is not the one that the blob's entry names")
    return found


def summed_by(entry: Entry) -> SumAlgorithm:
    """What the chunks of the map are summed by; `ChunkMapInvalid` where that cannot be computed here."""
    return SumAlgorithm.SHA256 if entry.map_sum else _shape(entry).algorithm


def encoded(entry: Entry, chunk_map: ChunkMap) -> bytes:
    """The map as it lies in the bucket, in the version that the entry names."""
    old = encode_old(chunk_map) if entry.map_sum else None
    return old if old is not None else encode(chunk_map, entry.digest)


def _shape(entry: Entry) -> MapShape:
    return MapShape.of(entry.size, entry.digest, entry.root)


async def _whole(client: S3Client, entry: Entry) -> bytes:
    data = await client.get(map_key(entry.name))
    if data is None:
        raise ObjectMissing(f"{map_key(entry.name)} is not in the bucket")
    return data


async def _part(client: S3Client, entry: Entry, span: Span, size: int) -> bytes:
    async with aclosing(client.pieces(map_key(entry.name), span, size)) as pieces:
        return b"".join([piece async for piece in pieces])
