"""Chunk maps as bytes (all integers big-endian).

Version 2, of media type `MEDIA_TYPE`:

    8         magic  b"RMCHUNK2"
    1         algorithm of the sums: 1 sha256, 2 BLAKE3
    1         log2 of the chunk size: 17
    1         log2 of the sums a page: 9
    1         length in bytes of the blob's digest: 32 (sha256) or 64 (sha512)
    8         size of the blob in bytes
    32 or 64  the blob's digest
    n × 32    sum of each page, n = ceil(ceil(size / chunk size) / sums a page)
              - the head ends here; its sum by the same algorithm is the map's *root*
    4, 4      the first of the pages that follow, and how many they are
    …         those pages: the sums of their chunks, 32 bytes each

All pages follow, or as many as were asked for. The head names blob and size: no map fits another blob. A layer of
64 GiB has a head of 32 KiB and pages of 16 KiB each.

Version 1, of media type `OLD_MEDIA_TYPE`, is read, and given to a request for no other:

    8 bytes   magic  b"RMCHUNK1"
    4 bytes   chunk size in bytes (128 KiB)
    8 bytes   size of the blob in bytes
    n × 32    sha256 of each chunk, n = ceil(size / chunk size)
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from registry_mesh.chunks.chunk_map import (
    CHUNK,
    PAGE,
    ChunkMap,
    ChunkMapInvalid,
    count,
    page_length,
    pages_of,
    pages_over,
)
from registry_mesh.chunks.sums import SUM, SumAlgorithm
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span

MEDIA_TYPE: Final = "application/vnd.registry-mesh.chunk-map.v2"
OLD_MEDIA_TYPE: Final = "application/vnd.registry-mesh.chunk-map.v1"

BEGINNING: Final = 96
"""With so many bytes of a map `MapShape.read` can tell its shape."""

_MAGIC: Final = b"RMCHUNK2"
_FIXED: Final = struct.Struct(">8sBBBBQ")
_FOLLOW: Final = struct.Struct(">II")
_OLD_MAGIC: Final = b"RMCHUNK1"
_OLD_HEAD: Final = struct.Struct(">8sIQ")
_CHUNK_BITS: Final = CHUNK.bit_length() - 1
_PAGE_BITS: Final = PAGE.bit_length() - 1


@dataclass(frozen=True, slots=True)
class MapShape:
    """Where what is in an encoded map. `pages_at` None: it has no upper level (version 1)."""

    algorithm: SumAlgorithm
    size: int
    digest: str
    """Of the blob, in hex; "" where the map does not name it."""
    top_at: int | None
    follow_at: int
    """Where the upper level ends."""

    @classmethod
    def read(cls, data: bytes) -> MapShape:
        """The shape of the map that begins with `data`; `ChunkMapInvalid` where it is none."""
        if data[:8] == _OLD_MAGIC:
            return cls._read_old(data)
        if len(data) < _FIXED.size:
            raise ChunkMapInvalid("shorter than its head")
        magic, number, chunk, page, length, size = _FIXED.unpack_from(data)
        if magic != _MAGIC:
            raise ChunkMapInvalid("not a chunk map of version 1 or 2")
        if (chunk, page) != (_CHUNK_BITS, _PAGE_BITS):
            raise ChunkMapInvalid(f"chunks of 2^{chunk} bytes and pages of 2^{page} sums are not supported")
        digest, top_at = data[_FIXED.size : _FIXED.size + length], _FIXED.size + length
        if length not in (32, 64) or len(digest) < length:
            raise ChunkMapInvalid("names no digest")
        return cls(_algorithm(number), size, digest.hex(), top_at, top_at + pages_of(size) * SUM)

    @classmethod
    def of(cls, size: int, digest: Digest, root: str) -> MapShape:
        """The shape in version 2 of the map of that blob which `root` names. `ChunkMapInvalid` where it names none, or
        one by an algorithm that cannot be computed here."""
        name = root.partition(":")[0].upper()
        if name not in SumAlgorithm.__members__:
            raise ChunkMapInvalid(f"{root!r} names no chunk map")
        top_at = _FIXED.size + len(digest.hex) // 2
        algorithm = _algorithm(SumAlgorithm[name].value)
        return cls(algorithm, size, digest.hex, top_at, top_at + pages_of(size) * SUM)

    @classmethod
    def _read_old(cls, data: bytes) -> MapShape:
        if len(data) < _OLD_HEAD.size:
            raise ChunkMapInvalid("shorter than its head")
        _, chunk, size = _OLD_HEAD.unpack_from(data)
        if chunk != CHUNK:
            raise ChunkMapInvalid(f"chunks of {chunk} bytes; {CHUNK} are supported")
        return cls(SumAlgorithm.SHA256, size, "", None, _OLD_HEAD.size)

    @property
    def sums_at(self) -> int:
        """Where the sums of the chunks begin, of a map that has all of them."""
        return self.follow_at + (0 if self.top_at is None else _FOLLOW.size)

    @property
    def length(self) -> int:
        """The length of a map that has all pages."""
        return self.sums_at + count(self.size) * SUM

    def sums_of(self, chunks: range) -> tuple[int, int]:
        """Where the sums of `chunks` are, of a map that has all of them: offset and length."""
        return self.sums_at + chunks.start * SUM, len(chunks) * SUM

    def demand(self, digest: Digest | None, size: int | None) -> None:
        """`ChunkMapInvalid` where it is of another blob, as far as that is known."""
        if size is not None and self.size != size:
            raise ChunkMapInvalid(f"is of a blob of {self.size} bytes, not {size}")
        if digest is not None and self.digest and self.digest != digest.hex:
            raise ChunkMapInvalid("is of another blob")


def _algorithm(number: int) -> SumAlgorithm:
    try:
        algorithm = SumAlgorithm(number)
    except ValueError:
        raise ChunkMapInvalid(f"sums by algorithm {number}; 1 and 2 are supported") from None
    if not algorithm.usable:
        raise ChunkMapInvalid(
            f"{algorithm.name} cannot be computed here: the package blake3 is not installed"
        )
    return algorithm


def _head(chunk_map: ChunkMap, digest: Digest) -> bytes:
    value = bytes.fromhex(digest.hex)
    fixed = _FIXED.pack(
        _MAGIC, chunk_map.algorithm.value, _CHUNK_BITS, _PAGE_BITS, len(value), chunk_map.size
    )
    return fixed + value + chunk_map.top


def root(chunk_map: ChunkMap, digest: Digest) -> str:
    """What names the whole map of a blob: `blake3:HEX` or `sha256:HEX`."""
    algorithm = chunk_map.algorithm
    return f"{algorithm.name.lower()}:{algorithm.of(_head(chunk_map, digest)).hex()}"


def encode(chunk_map: ChunkMap, digest: Digest, span: Span | None = None) -> bytes:
    """The map of the blob `digest` in version 2, with the pages of `span` (None: with all); KeyError where one of them
    is not there."""
    pages = pages_over(span, chunk_map.size)
    follow = _FOLLOW.pack(pages.start, len(pages))
    return b"".join([_head(chunk_map, digest), follow, *(chunk_map.pages[page] for page in pages)])


def joined(head: bytes, pages: range, sums: bytes) -> bytes:
    """A map of version 2 with some `pages`, whose `sums` were read apart from its head."""
    return head + _FOLLOW.pack(pages.start, len(pages)) + sums


def encode_old(chunk_map: ChunkMap) -> bytes | None:
    """The map in version 1, with all sums; None where they are not sha256, or not all there."""
    if chunk_map.algorithm is not SumAlgorithm.SHA256 or not chunk_map.whole:
        return None
    return _OLD_HEAD.pack(_OLD_MAGIC, CHUNK, chunk_map.size) + chunk_map.sums


def decode(data: bytes, size: int | None = None, digest: Digest | None = None) -> ChunkMap:
    """The map, of either version, of a blob (of `size` bytes and with that `digest`, where they are known);
    `ChunkMapInvalid` says what does not fit."""
    shape = MapShape.read(data[:BEGINNING])
    shape.demand(digest, size)
    if shape.top_at is None:
        return ChunkMap.of_sums(shape.size, data[shape.sums_at :])
    top = data[shape.top_at : shape.follow_at]
    if len(data) < shape.sums_at:
        raise ChunkMapInvalid("shorter than its head")
    first, number = _FOLLOW.unpack_from(data, shape.follow_at)
    if first + number > pages_of(shape.size):
        raise ChunkMapInvalid(f"has {number} pages from {first} on; there are {pages_of(shape.size)}")
    pages = _pages(data, shape, range(first, first + number))
    return ChunkMap.proven(shape.size, shape.algorithm, top, pages)


def _pages(data: bytes, shape: MapShape, pages: range) -> Iterator[tuple[int, bytes]]:
    at = shape.sums_at
    for page in pages:
        length = page_length(page, shape.size)
        yield page, data[at : at + length]
        at += length
    if at != len(data):
        raise ChunkMapInvalid(f"{len(data)} bytes; its pages end at {at}")
