"""From an answer of the slow path to a hot one."""

from __future__ import annotations

import asyncio
import json
from typing import Final

from registry_mesh.auth.access import Action, Asked
from registry_mesh.edge import head
from registry_mesh.edge.call import Call
from registry_mesh.edge.exchange import Exchange, namespace
from registry_mesh.edge.head import Fields
from registry_mesh.edge.hot.entries import Hot
from registry_mesh.edge.hot.manifest import HotManifest
from registry_mesh.edge.hot.shape import Shape
from registry_mesh.edge.pull_of import thing_of
from registry_mesh.edge.pulled import Fetched
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.blobs import Provenance, Reading

LARGEST: Final = 1 << 20
"""Bytes of a manifest that is kept in memory."""

RENEWED: Final = 300.0
"""Seconds after which a manifest is read from its source again: a store evicts what it does not hear to be used."""

_DYNAMIC: Final = ("Age", "Content-Range")


def keep_manifest(
    exchange: Exchange, call: Call, fields: Fields, provenance: Provenance, size: int, data: bytes
) -> None:
    """A hit that was answered 200 with `data` (HEAD: without), `size` bytes long."""
    hot = _hot(exchange, call)
    if hot is None or not provenance.hit or provenance.stale or size > LARGEST:
        return
    if exchange.by_tag and provenance.fresh_for is None:
        return
    now = asyncio.get_running_loop().time()
    until = now + min(RENEWED, RENEWED if provenance.fresh_for is None else provenance.fresh_for)
    confirmed = now - provenance.age if provenance.age is not None else None
    kind = "tag" if exchange.by_tag else "manifest"
    shape = _shape(exchange, call, fields, len(data))
    entry = HotManifest(shape, kind, size, data, confirmed, until)
    hot.keep_manifest(_key(exchange), entry)


def keep_blob(exchange: Exchange, call: Call, digest: Digest, fields: Fields, reading: Reading) -> None:
    """A span that was answered 200 or 206, without waiting for anything."""
    hot = _hot(exchange, call)
    if hot is None or not reading.provenance.hit or reading.ready(reading.span) is None:
        return
    if hot.wants_blob(key := _key(exchange)):
        assert call.repository is not None
        shape = _shape(exchange, call, fields, reading.info.size)
        hot.keep_blob(key, call.repository.blobs, digest, reading.span, shape)


def _hot(exchange: Exchange, call: Call) -> Hot | None:
    """Only what was asked plainly is answered without looking at the request again. An answer is kept for whoever may
    have it; the caller's credentials are kept apart from it."""
    hot = exchange.hot
    if hot is None or exchange.settings.default_by_host:
        return None
    if exchange.method not in ("GET", "HEAD") or not _is_plain(exchange, call):
        return None
    if exchange.authorization is not None:
        hot.callers.keep(exchange.authorization, call.who.subject)
    return hot


def _is_plain(exchange: Exchange, call: Call) -> bool:
    """Whether the target is spelled in the one way that is kept: else there would be a key for each of the queries
    that mean nothing, for each host of an absolute target, for each way to escape a letter."""
    target = exchange.request.raw_path
    if call.registry is not None and not call.by_path and (query := f"?ns={call.registry}") in target:
        target = target.removesuffix(query)
    return target.startswith("/v2/") and "?" not in target and "%" not in target


def _key(exchange: Exchange) -> bytes:
    return f"{exchange.method} {exchange.request.raw_path}".encode()


def _shape(exchange: Exchange, call: Call, fields: Fields, size: int) -> Shape:
    assert call.repository is not None
    repository = call.repository
    path = json.dumps(exchange.request.raw_path.partition("?")[0][:1024])
    thing = thing_of(exchange)
    asked = f'"ns":{json.dumps(call.registry)},' if call.registry is not None and not call.by_path else ""
    hot = exchange.hot
    assert hot is not None
    return Shape(
        hot.callers.right(Asked(Action.PULL, repository.registry, repository.name)),
        exchange.method,
        next(str(value).encode() for name, value in fields if name == "ETag"),
        head.lines(field for field in fields if field[0] not in _DYNAMIC),
        head.lines(namespace(call)) + b"\r\n",
        f'"method":"{exchange.method}","path":{path},"registry":{json.dumps(repository.registry)},{asked}',
        Fetched(thing, size) if exchange.method == "GET" and thing is not None else None,
    )
