"""Which of several servers brings which part of a blob: highest random weight, so that nobody has to keep a table.

All servers that name each other alike come to the same order without a word between them. One that is lost leaves the
order of the others as it was: only what it brought goes to the next one.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span

SEGMENT: Final = 64 * MIB
"""Bytes that one server brings as a whole: long enough that a stream gets going, short enough that servers share the
blobs that matter."""


def segment(offset: int) -> Span:
    """Return the segment in which the byte at `offset` lies."""
    start = offset // SEGMENT * SEGMENT
    return Span(start, start + SEGMENT)


def rank(server: str, digest: Digest, part: Span) -> tuple[int, str]:
    """Return the place of a server among those that could bring a segment of a blob: the least brings it."""
    weight = blake2b(f"{server} {digest} {part.start}".encode(), digest_size=8).digest()
    return int.from_bytes(weight), server
