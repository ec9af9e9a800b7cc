"""GET of chunk maps, our extension: what lets a child prove a part of a blob alone.

`?span=START-STOP` asks for no more of the map than proves those bytes of the blob. A child of an earlier version asks
without a word about the format, and is given version 1, where the map can be told in it.
"""

from __future__ import annotations

import re
from typing import Final

from registry_mesh.chunks.chunk_map import ChunkMap
from registry_mesh.chunks.map_format import MEDIA_TYPE, OLD_MEDIA_TYPE, encode, encode_old, root
from registry_mesh.edge.call import Call
from registry_mesh.edge.exchange import Exchange
from registry_mesh.edge.head import Fields
from registry_mesh.edge.respond import IMMUTABLE
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown, RequestInvalid
from registry_mesh.oci.span import Span

_SPAN: Final = re.compile(r"(\d{1,18})-(\d{1,18})")


async def get_chunk_map(exchange: Exchange, call: Call) -> None:
    """404 BLOB_UNKNOWN where the blob or its map is not here; the blob alone may well be."""
    assert call.repository is not None
    digest = Digest.parse(call.reference)
    newer = MEDIA_TYPE in (exchange.field("Accept") or "")
    span = _span(call.query.one("span")) if newer else None
    chunk_map = await call.repository.blobs.chunk_map(digest, span)
    body = None if chunk_map is None else _body(chunk_map, digest, span, newer=newer)
    if chunk_map is None or body is None:
        raise BlobUnknown("there is no chunk map of this blob", digest=str(digest))
    fields: Fields = [("Cache-Control", IMMUTABLE), ("Vary", "Accept")]
    fields.append(("Content-Type", MEDIA_TYPE if newer else OLD_MEDIA_TYPE))
    if newer:
        fields.append(("ETag", f'"{root(chunk_map, digest)}"'))
    await exchange.reply(200, fields, body)


def _body(chunk_map: ChunkMap, digest: Digest, span: Span | None, *, newer: bool) -> bytes | None:
    return encode(chunk_map, digest, span) if newer else encode_old(chunk_map)


def _span(text: str | None) -> Span | None:
    if text is None:
        return None
    found = _SPAN.fullmatch(text)
    if found is None or int(found[1]) > int(found[2]):
        raise RequestInvalid("span is START-STOP, in bytes of the blob", given=text[:100])
    return Span(int(found[1]), int(found[2]))
