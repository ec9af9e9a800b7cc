"""Uploads of blobs (distribution-spec end-4 to end-6, end-11, end-13, end-14)."""

from __future__ import annotations

import re
from typing import Final

from registry_mesh.auth.access import Action
from registry_mesh.edge.call import Call
from registry_mesh.edge.exchange import Exchange, writable
from registry_mesh.edge.head import Fields
from registry_mesh.oci.digest import Digest, new_hasher
from registry_mesh.oci.reference import RepositoryName, parse_name
from registry_mesh.oci.refusals import (
    BlobUnknown,
    BlobUploadUnknown,
    DigestInvalid,
    NameUnknown,
    RangeInvalid,
    Refusal,
    SizeInvalid,
)
from registry_mesh.ports.blobs import Ingest
from registry_mesh.ports.pushes import BlobPushes, Pushes, Upload, UploadSessions

_CONTENT_RANGE: Final = re.compile(r"(?:bytes[ =])?(\d{1,18})-(\d{1,18})(?:/(?:\d{1,19}|\*))?", re.ASCII)


class OutOfStep(RangeInvalid):
    """A chunk that the session cannot take now (416): says where the session stands."""

    def __init__(self, cause: RangeInvalid, fields: Fields) -> None:
        super().__init__(cause.reason, **cause.detail)
        self.fields = fields


def _pushes(call: Call) -> Pushes:
    pushes = writable(call).pushes
    assert pushes is not None
    return pushes


def _sessions(call: Call) -> UploadSessions:
    return _pushes(call)


def _blobs(call: Call) -> BlobPushes:
    return _pushes(call)


async def post_upload(exchange: Exchange, call: Call) -> None:
    """Mount, else a whole blob, else a new session."""
    mount, digest = call.query.one("mount"), call.query.one("digest")
    algorithm = call.query.one("digest-algorithm")
    if mount is not None and await _mount(exchange, call, Digest.parse(mount)):
        return
    if digest is not None and mount is None:
        await _post_whole(exchange, call, Digest.parse(digest))
        return
    if algorithm is None:
        algorithm = Digest.parse(mount).algorithm if mount is not None else "sha256"
    new_hasher(algorithm)  # DigestInvalid for one we do not know
    upload = await _sessions(call).begin(call.who, algorithm)
    await exchange.reply(202, _session_fields(call, upload))


async def _mount(exchange: Exchange, call: Call, digest: Digest) -> bool:
    """From a repository that the caller may read, or from anywhere such where none is named."""
    named = call.query.one("from")
    source: RepositoryName | None = parse_name(named) if named else None
    if source is not None and not exchange.may(Action.PULL, call, source):
        return False
    if not await _blobs(call).mount(call.who, digest, source):
        return False
    await exchange.reply(201, _blob_fields(call, digest))
    return True


async def _post_whole(exchange: Exchange, call: Call, digest: Digest) -> None:
    size = exchange.declared_length()
    async with _blobs(call).monolithic(call.who, digest, size) as ingest:
        await _pour(exchange, ingest, size)
        await ingest.commit(digest)
    await exchange.reply(201, _blob_fields(call, digest))


async def patch_upload(exchange: Exchange, call: Call) -> None:
    """Take a chunk of an upload: 202, with where it stands."""
    try:
        start, length = _content_range(exchange)
        async with _sessions(call).append(call.who, call.reference, start, length) as ingest:
            await _pour(exchange, ingest, length)
            offset = ingest.offset
    except RangeInvalid as fault:
        raise await _out_of_step(call, fault) from None
    await exchange.reply(202, _session_fields(call, Upload(call.reference, offset)))


async def put_upload(exchange: Exchange, call: Call) -> None:
    """Take the last bytes of an upload, and make a blob of it: 201."""
    given = call.query.one("digest")
    if given is None:
        raise DigestInvalid("the digest parameter is missing", parameter="digest")
    digest = Digest.parse(given)
    try:
        start, length = _content_range(exchange)
        async with _sessions(call).append(call.who, call.reference, start, length) as ingest:
            await _pour(exchange, ingest, length)
            await ingest.commit(digest)
    except RangeInvalid as fault:
        raise await _out_of_step(call, fault) from None
    except BlobUploadUnknown:
        if not await _is_here(call, digest):
            raise
    await exchange.reply(201, _blob_fields(call, digest))


async def _is_here(call: Call, digest: Digest) -> bool:
    """Whether the repository has the blob: a client whose last answer was lost closes its session again."""
    assert call.repository is not None
    try:
        await call.repository.blobs.stat(digest)
    except (BlobUnknown, NameUnknown):
        return False
    return True


async def get_upload(exchange: Exchange, call: Call) -> None:
    """Tell where an upload stands: 204."""
    upload = await _sessions(call).status(call.who, call.reference)
    await exchange.reply(204, _session_fields(call, upload))


async def delete_upload(exchange: Exchange, call: Call) -> None:
    """Give an upload up: 204."""
    await _sessions(call).cancel(call.who, call.reference)
    await exchange.reply(204, [])


async def _pour(exchange: Exchange, ingest: Ingest, length: int | None) -> None:
    """The body into the ingest, piece by piece: a slow store makes the client wait. A body that is longer or
    shorter than said is `SizeInvalid`; what was taken before is kept."""
    declared, poured = exchange.declared_length(), 0
    if length is not None and declared is not None and declared != length:
        raise SizeInvalid("Content-Range and Content-Length differ", range=length, length=declared)
    async for piece in exchange.body():
        poured += len(piece)
        if length is not None and poured > length:
            raise SizeInvalid("the body is longer than was said", said=length)
        await ingest.write(piece)
    if length is not None and poured != length:
        raise SizeInvalid("the body is shorter than was said", said=length, came=poured)


def _content_range(exchange: Exchange) -> tuple[int | None, int | None]:
    """Where the chunk starts and how long it is; None where nothing says so.

    The specification's own form is `start-end`; HTTP's `bytes start-end/total` is understood too.
    """
    header = exchange.headers.get("Content-Range")
    declared = exchange.declared_length()
    return (None, declared) if header is None else content_range(header, declared)


def content_range(header: str, declared: int | None = None) -> tuple[int, int]:
    """The first byte and the number of bytes that a Content-Range says; `declared`: Content-Length. `RangeInvalid`."""
    found = _CONTENT_RANGE.fullmatch(header.strip())
    if found is None:
        raise RangeInvalid("Content-Range is START-END", given=header[:100])
    start, end = int(found[1]), int(found[2])
    if end < start:
        if declared == 0 and end == start - 1:
            return start, 0  # how some clients spell an empty last chunk
        raise RangeInvalid("Content-Range ends before it starts", given=header[:100])
    return start, end - start + 1


async def _out_of_step(call: Call, fault: RangeInvalid) -> Refusal:
    try:
        upload = await _sessions(call).status(call.who, call.reference)
    except Refusal as unknown:
        return unknown
    return OutOfStep(fault, _session_fields(call, upload))


def _session_fields(call: Call, upload: Upload) -> Fields:
    return [
        call.location(f"blobs/uploads/{upload.id}"),
        ("Range", f"0-{max(0, upload.offset - 1)}"),
        ("Docker-Upload-UUID", upload.id),
    ]


def _blob_fields(call: Call, digest: Digest) -> Fields:
    return [call.location(f"blobs/{digest}"), ("Docker-Content-Digest", str(digest))]
