"""A disk as storage."""

from __future__ import annotations

import time
from pathlib import Path

from registry_mesh.ports.storage import Storage
from registry_mesh.ports.uploads import EXPIRY
from registry_mesh.stores.disk.durability import FsyncPolicy
from registry_mesh.stores.disk.exclusive import alone_below
from registry_mesh.stores.disk.store import DiskStore
from registry_mesh.stores.disk.uploads import DiskUploads


async def open_disk(
    root: Path, *, quota: int | None, evict: bool, fsync: FsyncPolicy, expiry: float = EXPIRY
) -> Storage:
    """The store below `root`, made where there is none (see `DiskStore.start`). `expiry`: seconds after its last byte
    until an upload is forgotten. `StoreBroken`."""
    store = await DiskStore.start(root, quota=quota, evict=evict, fsync=fsync)
    return Storage(
        kind="disk",
        blobs=store,
        records=store.records,
        close=store.close,
        uploads=DiskUploads(root / "uploads", store, time.time, fsync=fsync, expiry=expiry),
        cache=store,
        disk=store,
        quota=quota,
        alone=alone_below(root / "run"),
    )
