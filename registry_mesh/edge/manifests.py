"""GET, HEAD, PUT and DELETE of manifests (distribution-spec end-3, end-7, end-9).

Accept is read by nobody: the stored bytes are the only representation, Content-Type names what they are, and a
client that cannot use it says so itself. (A 404 for a type that is not listed, as some registries answer, makes OCI
images vanish behind a proxy that keeps one of several Accept lines.)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from registry_mesh.auth.access import Action
from registry_mesh.edge import conditional
from registry_mesh.edge.admission import admit_still
from registry_mesh.edge.call import Call
from registry_mesh.edge.entity_tags import etag
from registry_mesh.edge.exchange import Exchange, writable
from registry_mesh.edge.faults import TargetTooLong
from registry_mesh.edge.head import Fields
from registry_mesh.edge.keep_hot import keep_manifest
from registry_mesh.edge.respond import IMMUTABLE, NOSNIFF, provenance_fields
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import OCTETS, is_manifest_type
from registry_mesh.oci.reference import Tag, parse_reference, parse_tag
from registry_mesh.oci.refusals import DigestInvalid, ManifestTooLarge
from registry_mesh.ports.blobs import Provenance
from registry_mesh.ports.pushes import Pusher
from registry_mesh.tasks.threads import in_thread

MAX_TAGS: Final = 256
"""`?tag=` parameters in one push; the specification wants at least 10."""
_BIG: Final = 64 << 10
"""A manifest beyond it is parsed in a thread."""


async def get_manifest(exchange: Exchange, call: Call) -> None:
    """GET and HEAD. HEAD of a tag, the hottest request of a site, needs the tag alone."""
    assert call.repository is not None
    reference = parse_reference(call.reference)
    if isinstance(reference, Digest):
        fetched = await call.repository.manifests.manifest(reference)
        fields = _fields(exchange, call, reference, fetched.manifest.media_type, fetched.provenance)
        await _answer(exchange, call, reference, fields, fetched.provenance, fetched.manifest.data)
        return
    exchange.by_tag = True
    resolved = await call.repository.tags.resolve(reference)
    digest, media_type = resolved.descriptor.digest, resolved.descriptor.media_type
    fields = _fields(exchange, call, digest, media_type, resolved.provenance, by_tag=True)
    if exchange.method == "HEAD":
        if not await conditional.answered_by_condition(exchange, digest, fields):
            size = resolved.descriptor.size
            await exchange.begin(200, [*fields, ("Content-Length", str(size))])
            keep_manifest(exchange, call, fields, resolved.provenance, size, b"")
        return
    manifest = (await call.repository.manifests.manifest(digest)).manifest
    await _answer(exchange, call, digest, fields, resolved.provenance, manifest.data)


async def _answer(
    exchange: Exchange, call: Call, digest: Digest, fields: Fields, provenance: Provenance, data: bytes
) -> None:
    if not await conditional.answered_by_condition(exchange, digest, fields):
        await exchange.reply(200, fields, data)
        body = b"" if exchange.method == "HEAD" else data
        keep_manifest(exchange, call, fields, provenance, len(data), body)


def _fields(
    exchange: Exchange,
    call: Call,
    digest: Digest,
    media_type: str,
    provenance: Provenance,
    *,
    by_tag: bool = False,
) -> Fields:
    exchange.resolved = str(digest)
    return [
        ("Content-Type", media_type if is_manifest_type(media_type) else OCTETS),
        ("Docker-Content-Digest", str(digest)),
        ("ETag", etag(digest)),
        ("Cache-Control", "no-cache" if by_tag else IMMUTABLE),
        NOSNIFF,
        *provenance_fields(exchange, provenance, cache=call.role.name != "origin"),
    ]


async def put_manifest(exchange: Exchange, call: Call) -> None:
    """Take a manifest, under the tags and the digest that are given: 201."""
    pushes = writable(call).pushes
    assert pushes is not None
    reference = parse_reference(call.reference)
    tags = _tags(call)
    expected = reference if isinstance(reference, Digest) else None
    if not isinstance(reference, Digest) and reference not in tags:
        tags.insert(0, reference)
    data = await _read(exchange)
    await admit_still(exchange, Action.PUSH, call)
    digest = Digest.of(data, expected.algorithm if expected else "sha256")
    if expected is not None and digest != expected:
        raise DigestInvalid(
            "the manifest has another digest than the path names", given=str(expected), actual=str(digest)
        )
    media_type = exchange.headers.get("Content-Type", "")
    if len(data) > _BIG:
        manifest = await in_thread(Manifest.parse, data, media_type, digest)
    else:
        manifest = Manifest.parse(data, media_type, digest)
    pushed = await pushes.put_manifest(_tagger(exchange, call), manifest, tags, **_preconditions(exchange))
    exchange.pushed, exchange.tags = str(pushed.digest), [str(tag) for tag in tags]
    exchange.moved = {str(tag): str(digest) for tag, digest in pushed.moved}
    fields: Fields = [
        call.location(f"manifests/{pushed.digest}"),
        ("Docker-Content-Digest", str(pushed.digest)),
    ]
    if pushed.subject is not None:
        fields.append(("OCI-Subject", str(pushed.subject)))
    if pushed.tags:
        fields.append(("OCI-Tag", ", ".join(pushed.tags)))
    await exchange.reply(201, fields)


def _tagger(exchange: Exchange, call: Call) -> Pusher:
    """The caller, with what it may do to tags: whether one exists is known where it is set."""
    return replace(
        call.who,
        may_create=exchange.may(Action.CREATE, call, call.name),
        may_move=exchange.may(Action.TAG_UPDATE, call, call.name),
    )


def _tags(call: Call) -> list[Tag]:
    tags = list(dict.fromkeys(parse_tag(text) for text in call.query.all("tag")))
    if len(tags) > MAX_TAGS:
        raise TargetTooLong(f"more than {MAX_TAGS} tags in one push", given=len(tags))
    return tags


def _preconditions(exchange: Exchange) -> dict[str, str | None]:
    return {"if_match": exchange.field("If-Match"), "if_none_match": exchange.field("If-None-Match")}


async def _read(exchange: Exchange) -> bytes:
    limit = exchange.settings.manifest_limit
    declared = exchange.declared_length()
    data = bytearray()
    if declared is None or declared <= limit:
        async for piece in exchange.body():
            data += piece
            if len(data) > limit:
                break
        else:
            return bytes(data)
    raise ManifestTooLarge(f"a manifest may have {limit} bytes", limit=limit)


async def delete_manifest(exchange: Exchange, call: Call) -> None:
    """By digest the manifest and every tag that points at it; by tag the tag alone."""
    repository = writable(call)
    assert repository.pushes is not None
    reference = parse_reference(call.reference)
    if not isinstance(reference, Digest):
        await repository.pushes.delete_tag(call.who, reference, exchange.field("If-Match"))
    else:
        conditional.require(exchange, reference)
        await repository.pushes.delete_manifest(call.who, reference)
    await exchange.reply(202, [])
