"""GET of chunk maps, our extension: what lets a child prove a part of a blob alone."""

from __future__ import annotations

from registry_mesh.chunks.chunk_map import MEDIA_TYPE
from registry_mesh.edge.exchange import Call, Exchange
from registry_mesh.edge.respond import IMMUTABLE
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown


async def get_chunk_map(exchange: Exchange, call: Call) -> None:
    """404 BLOB_UNKNOWN where the blob or its map is not here; the blob alone may well be."""
    assert call.repository is not None
    digest = Digest.parse(call.reference)
    chunk_map = await call.repository.blobs.chunk_map(digest)
    if chunk_map is None:
        raise BlobUnknown("there is no chunk map of this blob", digest=str(digest))
    await exchange.reply(
        200, [("Content-Type", MEDIA_TYPE), ("Cache-Control", IMMUTABLE)], chunk_map.encode()
    )
