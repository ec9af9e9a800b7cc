"""What manifests say of a blob's size, compared with the truth."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Final

from registry_mesh.oci.digest import Digest
from registry_mesh.ports.cache import SaidSizes
from registry_mesh.ports.failures import StoreBroken

_log: Final = logging.getLogger(__name__)


async def check_said(store: SaidSizes, digest: Digest, size: int) -> None:
    """The digest of a blob of `size` bytes has fitted: name the manifest that said otherwise, and forget its word."""
    with suppress(StoreBroken):
        said = await store.said_size(digest)
        if said is None or said.size == size:
            return
        _log.warning(
            "manifest %s says that %s has %d bytes; it has %d: clients that pull by it will refuse the "
            "blob. Have its maker push it again.",
            said.manifest,
            digest,
            said.size,
            size,
        )
        await store.forget_said(digest)
