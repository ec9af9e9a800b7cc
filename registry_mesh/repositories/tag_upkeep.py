"""Forgetting tags that were deleted longer ago than the grace, with their history and their markers."""

from __future__ import annotations

from registry_mesh.oci.reference import Tag, is_tag
from registry_mesh.ports.documents import decode
from registry_mesh.repositories.parts import RepositoryParts


async def forget_deleted_tags(parts: RepositoryParts, now: float, grace: float) -> int:
    """Gives how many were forgotten.

    A marker goes when its tag's log is gone, or when it is older than the grace and the tag stands: a process that
    wrote it is long done. Markers are read before the log, so that none goes whose deletion is still to come.
    """
    forgotten = 0
    for name in await parts.records.children(parts.keys.untagged):
        if not is_tag(name):
            continue
        prefix = f"{parts.keys.untagged}{name}/"
        markers = [prefix + token for token in await parts.records.children(prefix)]
        entry = await parts.tags.current(Tag(name))
        if entry is not None and entry.descriptor is None and entry.at <= now - grace:
            await parts.tags.purge(Tag(name))
            forgotten += 1
            entry = await parts.tags.current(Tag(name))
        if entry is None:
            await parts.records.delete(markers)
        elif entry.descriptor is not None:
            await parts.records.delete([each for each in markers if await _is_old(parts, each, now - grace)])
    return forgotten


async def _is_old(parts: RepositoryParts, marker: str, late: float) -> bool:
    data = await parts.records.get(marker)
    return data is not None and float(decode(data, marker).get("at", 0)) <= late
