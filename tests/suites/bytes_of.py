"""Bytes of a reading, whatever its pieces are."""

from __future__ import annotations

import os
from functools import lru_cache

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import PIECE, BlobSource, FileSlice, Reading


@lru_cache(8)
def pattern(size: int, seed: int = 1) -> bytes:
    """Bytes without a pattern, the same for the same seed: a key stream, which comes at the speed of memory."""
    stream = Cipher(AES(seed.to_bytes(16, "big", signed=True)), CTR(bytes(16))).encryptor()
    return stream.update(bytes(size))


async def drain(reading: Reading) -> bytes:
    """All the reading gives."""
    out = bytearray()
    async for piece in reading.pieces():
        if isinstance(piece, FileSlice):
            out += os.pread(piece.fd, len(piece), piece.start)
        else:
            assert len(piece) <= PIECE
            out += piece
    return bytes(out)


async def read(source: BlobSource, digest: Digest, span: Span | None = None) -> bytes:
    async with source.open(digest, span) as reading:
        data = await drain(reading)
        assert len(data) == len(reading.span)
        return data
