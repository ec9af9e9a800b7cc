"""How a run brings blobs into the storage of its node."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.fill.rivals import Rivals
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.snapshot.copying.copy_blob import CopyByIngest
from registry_mesh.content.snapshot.copying.copy_by_fill import RUN_POLICY, CopyByFill
from registry_mesh.content.snapshot.copying.copy_by_session import CopyBySession
from registry_mesh.content.snapshot.copying.copy_keys import Bring
from registry_mesh.oci.reference import RegistryName
from registry_mesh.ports.remainders import Remainders
from registry_mesh.ports.storage import Storage


@asynccontextmanager
async def bringing(
    storage: Storage,
    distrusted: Distrusted,
    rivals: Callable[[RegistryName], Rivals],
    remainders: Remainders,
) -> AsyncIterator[Bring]:
    """By fills where the storage can hold blobs in part. A bucket takes a blob as a whole, and only then may a tag of
    it be seen by other hosts; a spool in front of it would tell too early. What comes is kept in
    sessions, and what they lack yet in `remainders`."""
    cache, uploads = storage.cache, storage.uploads
    if cache is None:
        assert uploads is not None, "a store that is no cache takes uploads"
        whole = CopyByIngest(storage.blobs, distrusted.note, rivals, remainders)
        yield CopyBySession(whole, uploads, storage.records)
        return
    fills = Fills(cache, RUN_POLICY)
    try:
        yield CopyByFill(cache, fills, distrusted.note, distrusted.doubt, rivals)
    finally:
        await fills.close()
