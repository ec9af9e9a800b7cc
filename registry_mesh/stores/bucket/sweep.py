"""What died on its way in or out of the bucket, found by its age.

A process that makes `data/<id>` a blob, or takes it away, writes `pending/<id>` (the digest) before and removes it
after. So the sweep looks at what is unsettled and never at every object: where the entry of the digest points at
`<id>`, only the mark is stale; else nobody will ever point there again, and the data goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import DigestInvalid
from registry_mesh.ports.failures import StoreBroken
from registry_mesh.stores.bucket.client import S3Client
from registry_mesh.stores.bucket.control import S3Control
from registry_mesh.stores.bucket.entry import Entry, data_key, entry_key, map_key, pending_key
from registry_mesh.stores.bucket.probe import PREFIX

_UNENDED: Final = 86_400.0
"""Seconds more that a multipart upload is given: a large blob over a slow line takes hours."""


@dataclass(frozen=True, slots=True)
class SweptObjects:
    """What a sweep did."""

    cleared: int = 0  # marks of blobs that are whole
    dropped: int = 0  # data that no entry points at
    aborted: int = 0  # multipart uploads that nobody ended


async def sweep(client: S3Client, control: S3Control, before: float) -> SweptObjects:
    """Tidy up after what began earlier than `before` (seconds since the epoch) and has not ended."""
    cleared = dropped = aborted = 0
    async for page in control.list(pending_key("")):
        for listed in page.objects:
            if listed.modified < before:
                if await _clear(client, control, listed.key):
                    cleared += 1
                else:
                    dropped += 1
    async for page in control.list(PREFIX):  # of nodes that died while they began
        await control.delete([listed.key for listed in page.objects if listed.modified < before])
    async for pending in control.pending():
        if pending.begun < before - _UNENDED:
            await control.abort(pending.key, pending.upload)
            aborted += 1
    return SweptObjects(cleared, dropped, aborted)


async def _clear(client: S3Client, control: S3Control, mark: str) -> bool:
    """Whether the blob that `mark` stands for is whole; it is gone with its mark otherwise."""
    name = mark.removeprefix(pending_key(""))
    whole = await _points_at(client, await client.get(mark) or b"", name)
    if not whole:
        await control.delete([data_key(name), map_key(name)])
    await client.delete(mark)
    return whole


async def _points_at(client: S3Client, digest: bytes, name: str) -> bool:
    try:
        wanted = Digest.parse(digest.decode())
    except (DigestInvalid, UnicodeDecodeError):
        return False
    data = await client.get(entry_key(wanted))
    if data is None:
        return False
    try:
        return Entry.decode(wanted, data).name == name
    except StoreBroken:
        return True  # unreadable is not proof of anything: keep
