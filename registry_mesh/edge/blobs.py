"""GET, HEAD and DELETE of blobs (distribution-spec end-2, end-10)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

from registry_mesh.auth.access import Action, Verdict
from registry_mesh.edge import conditional, ranges
from registry_mesh.edge.call import Call
from registry_mesh.edge.entity_tags import etag
from registry_mesh.edge.exchange import Exchange, writable
from registry_mesh.edge.head import Fields
from registry_mesh.edge.keep_hot import keep_blob
from registry_mesh.edge.multipart import send_parts
from registry_mesh.edge.respond import IMMUTABLE, NOSNIFF, provenance_fields, send_reading
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCTETS
from registry_mesh.oci.refusals import NameUnknown, Refusal, RequestInvalid
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo, BlobSource, Reading
from registry_mesh.ports.failures import Failure, SpanUnsatisfiable
from registry_mesh.ports.hops import Asks, asked
from registry_mesh.ports.repositories import Repository


async def head_blob(exchange: Exchange, call: Call) -> None:
    """The true length, without moving a byte. A Range is not looked at: it is defined for GET only."""
    digest = Digest.parse(call.reference)
    _, info = await _stat(exchange, call, digest)
    if await conditional.answered_by_condition(exchange, digest, _fields(digest)):
        return
    provenance = provenance_fields(exchange, info.provenance, cache=call.role.name != "origin")
    length = ("Content-Length", str(info.size))
    await exchange.begin(200, [*_fields(digest), ("Content-Type", OCTETS), length, *provenance])


async def get_blob(exchange: Exchange, call: Call) -> None:
    """Answer with the bytes of a blob, with the ranges of it that are asked for, or with 304."""
    digest = Digest.parse(call.reference)
    headers = exchange.headers
    if "If-None-Match" in headers or "If-Match" in headers:
        await _stat(exchange, call, digest)
        if await conditional.answered_by_condition(exchange, digest, _fields(digest)):
            return
    wanted = ranges.parse_range(exchange.field("Range"))
    if wanted is None or not ranges.range_applies(headers.get("If-Range"), etag(digest)):
        await _send_whole(exchange, call, digest)
    elif len(wanted) == 1 and wanted[0].suffix is None and wanted[0].stop > wanted[0].start:
        await _send_span(exchange, call, digest, Span(wanted[0].start, wanted[0].stop))
    else:
        await _send_resolved(exchange, call, digest, wanted)


async def delete_blob(exchange: Exchange, call: Call) -> None:
    """Take a blob out of its repository: 202. Who may not write is refused before."""
    pushes = writable(call).pushes
    assert pushes is not None
    digest = Digest.parse(call.reference)
    conditional.require(exchange, digest)
    await pushes.delete_blob(call.who, digest)
    await exchange.reply(202, [])


def _fields(digest: Digest) -> Fields:
    return [
        ("Docker-Content-Digest", str(digest)),
        ("ETag", etag(digest)),
        ("Accept-Ranges", "bytes"),
        ("Cache-Control", IMMUTABLE),
        NOSNIFF,
    ]


async def _send_whole(exchange: Exchange, call: Call, digest: Digest) -> None:
    async def send(blobs: BlobSource) -> None:
        async with blobs.open(digest) as reading:
            await _send_opened(exchange, call, blobs, digest, reading, 200, [])

    await _first_that_has(exchange, call, send)


async def _send_span(exchange: Exchange, call: Call, digest: Digest, span: Span) -> None:
    async def send(blobs: BlobSource) -> None:
        async with blobs.open(digest, span) as reading:
            await _send_part(exchange, call, blobs, digest, reading)

    try:
        await _first_that_has(exchange, call, send)
    except SpanUnsatisfiable as fault:
        if fault.size or exchange.status:
            raise
        await _send_whole(exchange, call, digest)


async def _send_part(
    exchange: Exchange, call: Call, blobs: BlobSource, digest: Digest, reading: Reading
) -> None:
    given, size = reading.span, reading.info.size
    if size:
        content_range = ("Content-Range", f"bytes {given.start}-{given.stop - 1}/{size}")
        await _send_opened(exchange, call, blobs, digest, reading, 206, [content_range])
    else:  # no byte for any range, but clients that put `bytes=0-` on everything want the blob
        await _send_opened(exchange, call, blobs, digest, reading, 200, [])


async def _send_resolved(
    exchange: Exchange, call: Call, digest: Digest, wanted: tuple[ranges.Wanted, ...]
) -> None:
    """Ranges that need the size first: suffixes, several. What a parent tells of it is a hint: they are resolved by
    the size of what is opened."""
    blobs, info = await _stat(exchange, call, digest)
    try:
        await _send_ranges(exchange, call, blobs, info, wanted)
    except (SpanUnsatisfiable, RequestInvalid):
        if exchange.status:
            raise
        async with blobs.open(digest, Span(0, 1)) as reading:
            true = reading.info
        if true.size == info.size:
            raise
        await _send_ranges(exchange, call, blobs, true, wanted)


async def _send_ranges(
    exchange: Exchange, call: Call, blobs: BlobSource, info: BlobInfo, wanted: tuple[ranges.Wanted, ...]
) -> None:
    """`OtherSize` where the blob turns out to have another size than `info` says."""
    spans = ranges.satisfiable(wanted, info.size)
    if not info.size:
        await _send_whole(exchange, call, info.digest)
    elif not spans:
        raise SpanUnsatisfiable(info.size)
    elif len(spans) > 1:
        await send_parts(exchange, blobs, info.digest, info.size, spans, _fields(info.digest))
    else:
        async with blobs.open(info.digest, spans[0]) as reading:
            if reading.info.size != info.size:
                raise ranges.OtherSize(reading.info.size)
            await _send_part(exchange, call, blobs, info.digest, reading)


async def _send_opened(
    exchange: Exchange,
    call: Call,
    blobs: BlobSource,
    digest: Digest,
    reading: Reading,
    status: int,
    fields: Fields,
) -> None:
    smallest = exchange.settings.redirect_from
    inside = asked() is not Asks.ANYTHING
    if smallest is not None and len(reading.span) >= smallest and reading.address and not inside:
        # The answer's life is the address's, not the blob's.
        named = [("Docker-Content-Digest", str(digest)), ("ETag", etag(digest))]
        if exchange.method == "GET":
            exchange.redirected = len(reading.span)
        exchange.provenance = reading.provenance
        await exchange.reply(307, [("Location", reading.address), *named, ("Cache-Control", "no-store")])
        return
    cache = call.role.name != "origin"
    fields = [
        *fields,
        *_fields(digest),
        ("Content-Type", OCTETS),
    ]

    def late() -> Fields:
        told = provenance_fields(exchange, reading.provenance, cache=cache)
        fields.extend(told)
        return told

    try:
        await send_reading(exchange, status, list(fields), reading, late)
    finally:
        if exchange.provenance is not None:
            exchange.provenance = reading.provenance  # what it cost is known by now
    if call.repository is not None and blobs is call.repository.blobs:
        keep_blob(exchange, call, digest, fields, reading)


# A blob asked for without a registry


async def _stat(exchange: Exchange, call: Call, digest: Digest) -> tuple[BlobSource, BlobInfo]:
    found: list[tuple[BlobSource, BlobInfo]] = []

    async def stat(blobs: BlobSource) -> None:
        found.append((blobs, await blobs.stat(digest)))

    await _first_that_has(exchange, call, stat)
    return found[0]


async def _first_that_has(
    exchange: Exchange, call: Call, attempt: Callable[[BlobSource], Awaitable[None]]
) -> None:
    """Try the repository asked for, then, where the request named no registry, those of the same name in the
    others that the caller may read: lazy readers send no `ns` even when the pull that made them did.

    The first fault is the one told. An answer that has begun is never begun again.
    """
    fault: Refusal | Failure | None = None
    for repository in _candidates(exchange, call):
        try:
            return await attempt(repository.blobs)
        except SpanUnsatisfiable:
            raise
        except (Refusal, Failure) as raised:
            if exchange.status:
                raise
            fault = fault or raised
    assert fault is not None
    raise fault


def _candidates(exchange: Exchange, call: Call) -> Iterator[Repository]:
    assert call.repository is not None
    yield call.repository
    if call.registry is not None:
        return
    for registry in sorted(call.role.registries):
        if registry == call.repository.registry:
            continue
        if exchange.decide(Action.PULL, registry, call.name).verdict is not Verdict.ALLOW:
            continue
        try:
            yield call.role.repository(registry, call.name)
        except NameUnknown:
            continue
