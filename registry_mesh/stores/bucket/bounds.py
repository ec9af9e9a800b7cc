"""The bounds of a cache in a bucket: how much it holds, and how old that may be. Kept by us and by no rule of the
bucket, which would take the data and leave the entry that points at it.

The oldest go first, by when they were stored: a bucket does not say what was read.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.stores.bucket.control import S3Control
from registry_mesh.stores.bucket.entry import data_key, digest_of, pending_key
from registry_mesh.stores.bucket.store import S3Store

log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BucketBounds:
    """In bytes, and in seconds since a blob was stored; None: no bound."""

    quota: int | None = None
    max_age: float | None = None


async def keep_within(store: S3Store, control: S3Control, bounds: BucketBounds, now: float) -> int:
    """Forget what is too much or too old; how many blobs that were. `StoreBroken`."""
    if bounds.quota is None and bounds.max_age is None:
        return 0
    listed = [each async for page in control.list("blobs/") for each in page.objects]
    stored = sorted((each.modified, digest_of(each.key)) for each in listed)
    gone = [digest for at, digest in stored if bounds.max_age is not None and now - at > bounds.max_age]
    await store.delete_many(gone)
    if bounds.quota is not None:
        gone += await _make_room(store, control, [digest for _, digest in stored[len(gone) :]], bounds.quota)
    if gone:
        log.info(
            "%d of %d blobs went from the bucket, the oldest: its quota or max_age", len(gone), len(stored)
        )
    return len(gone)


async def _make_room(store: S3Store, control: S3Control, oldest: list[Digest], quota: int) -> list[Digest]:
    excess = await _used(control) - quota
    gone = []
    for digest in oldest:
        if excess <= 0:
            break
        with suppress(BlobUnknown):
            entry = (await store.known(digest)).entry
            if entry.name:  # the small ones lie in their entries
                excess -= entry.size
                gone.append(digest)
    await store.delete_many(gone)
    return gone


async def _used(control: S3Control) -> int:
    """Bytes of data that some blob has; what was taken away lingers for a while, and is marked."""
    marks, root = pending_key(""), data_key("")
    marked = {each.key.removeprefix(marks) async for page in control.list(marks) for each in page.objects}
    return sum(
        [
            each.size
            async for page in control.list(root)
            for each in page.objects
            if each.key.removeprefix(root) not in marked
        ]
    )
