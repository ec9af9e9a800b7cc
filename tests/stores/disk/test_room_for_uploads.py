"""An upload that does not fit on the disk is refused before a byte of it is taken."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from registry_mesh.oci.reference import RepositoryName
from registry_mesh.ports.failures import StoreFull
from registry_mesh.ports.uploads import Owner
from registry_mesh.stores.disk.store import DiskStore
from registry_mesh.stores.disk.uploads import DiskUploads

OWNER = Owner(RepositoryName("atlas/athena"), "alice")
MiB = 1 << 20


@pytest.mark.parametrize("quota", [10 * MiB, None], ids=["quota", "what is free"])
async def test_what_does_not_fit_is_refused_at_once(tmp_path: Path, quota: int | None) -> None:
    store = await DiskStore.start(tmp_path, quota=quota)
    uploads = DiskUploads(tmp_path / "uploads", store, time.time)
    free = os.statvfs(tmp_path)
    most = 10 * MiB if quota else free.f_blocks * free.f_frsize
    id = (await uploads.begin(OWNER, "sha256")).id
    with pytest.raises(StoreFull):
        async with uploads.append(OWNER, id, 0, most + 1):
            pytest.fail("it was taken")
    async with uploads.append(OWNER, id, 0, 6 * MiB) as ingest:
        for _ in range(6):
            await ingest.write(bytes(MiB))
    if quota:
        with pytest.raises(StoreFull, match="quota"):
            async with uploads.append(OWNER, id, None, 5 * MiB):
                pytest.fail("with what is there already it is too much")
    assert (await uploads.status(OWNER, id)).offset == 6 * MiB
    async with uploads.append(OWNER, id, None, 0) as ingest:
        await ingest.commit()
    if quota:
        other = (await uploads.begin(OWNER, "sha256")).id
        with pytest.raises(StoreFull, match="are used"):
            async with uploads.append(OWNER, other, None, 5 * MiB):
                pytest.fail("others have taken what it needs")
    await store.close()
