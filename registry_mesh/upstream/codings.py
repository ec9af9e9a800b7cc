"""Content codings (RFC 9110 section 8.4): of bodies that came compressed though identity was asked for."""

from __future__ import annotations

import zlib
from typing import Final

WINDOW: Final = 32 + zlib.MAX_WBITS
"""Told to zlib: the header says whether it is gzip or zlib."""
_PACKED: Final = frozenset({"gzip", "x-gzip", "deflate"})
_GZIP: Final = b"\x1f\x8b"


def codings(field: str) -> tuple[str, ...]:
    """The codings that Content-Encoding names, in the order of their making; empty where none changes a byte."""
    names = (name.strip().lower() for name in field.split(","))
    return tuple(name for name in names if name not in ("", "identity", "aws-chunked", "utf-8"))


def is_packed(field: str) -> bool:
    """Whether Content-Encoding names one coding, that is known here."""
    found = codings(field)
    return len(found) == 1 and found[0] in _PACKED


def decoded(data: bytes, field: str, limit: int) -> bytes:
    """`data` with what Content-Encoding `field` names undone. A label on what is not compressed changes nothing.

    `ValueError` for a coding that is not known here, damaged data, and more than `limit` bytes.
    """
    for name in reversed(codings(field)):
        if name not in _PACKED:
            raise ValueError(f"sent a body in the coding {name[:50]!r}; identity was asked for")
        if name == "deflate" or data.startswith(_GZIP):
            data = _inflated(data, limit)
    return data


def _inflated(data: bytes, limit: int) -> bytes:
    """Decompressed, member after member."""
    parts: list[bytes] = []
    left = limit
    while data:
        inflater = zlib.decompressobj(WINDOW)
        try:
            part = inflater.decompress(data, left + 1)
        except zlib.error:
            raise ValueError("sent a compressed body that is damaged") from None
        left -= len(part)
        if left < 0:
            raise ValueError(f"sent more than {limit} bytes, compressed")
        if not inflater.eof:
            raise ValueError("sent a compressed body that ends early")
        parts.append(part)
        data = inflater.unused_data
    return b"".join(parts)
