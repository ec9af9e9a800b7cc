"""A disk as storage."""

from __future__ import annotations

import time
from pathlib import Path

from registry_mesh.ports.marker import Admission, Anybody
from registry_mesh.ports.storage import Storage
from registry_mesh.ports.uploads import EXPIRY
from registry_mesh.stores.disk.durability import DiskFsync
from registry_mesh.stores.disk.exclusive import alone_below
from registry_mesh.stores.disk.layout import Layout
from registry_mesh.stores.disk.records import DiskRecords
from registry_mesh.stores.disk.store import DiskStore
from registry_mesh.stores.disk.uploads import DiskUploads


async def open_disk(
    root: Path,
    *,
    quota: int | None,
    evict: bool,
    fsync: DiskFsync,
    expiry: float = EXPIRY,
    admission: Admission | None = None,
) -> Storage:
    """The store below `root`, made where there is none (see `DiskStore.start`). `expiry`: seconds after its last byte
    until an upload is forgotten. `StoreForeign` where `admission` does not let us in, `StoreBroken`."""
    admission = admission or Anybody()
    await admission.check(records_below(root), str(root))
    store = await DiskStore.start(root, quota=quota, evict=evict, fsync=fsync)
    try:
        await admission.admit(store.records, str(root))
    except BaseException:
        await store.close()
        raise
    return Storage(
        kind="disk",
        blobs=store,
        records=store.records,
        close=store.close,
        uploads=DiskUploads(root / "uploads", store, time.time, fsync=fsync, expiry=expiry),
        cache=store,
        disk=store,
        quota=quota,
        holdings=store.holdings,
        room=None if evict else store.room,
        alone=alone_below(root / "run"),
        note_uses=store.upkeep.note_uses,
    )


def records_below(root: Path) -> DiskRecords:
    """The records of the store below `root`, which need not be open, or be there."""
    layout = Layout(root)
    return DiskRecords(layout.records, layout.tmp)
