"""A tag that is deleted at a registry that is pushed to (distribution-spec, "Deleting tags", "Deleting Manifests").

Not every registry deletes a tag by its name. A manifest goes with all tags that point at it; so that is done only
where no other tag there points at it, nor at an index that names it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.endpoints import Endpoint
from registry_mesh.oci.media_types import INDEXES
from registry_mesh.oci.mentions import mentions
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import ManifestUnknown
from registry_mesh.ports.failures import SourceRefused
from registry_mesh.ports.repositories import EVERY, Repository
from registry_mesh.upstream.pushes.place import PushPlace

_DONE: Final = (200, 202, 204, 404)
_NOT_BY_TAG: Final = (400, 405, 501)


class Deletion:
    """In one repository; `read` is the same, as it is pulled from. `going`: all tags that are to be deleted."""

    def __init__(self, place: PushPlace, read: Repository, going: Collection[Tag]) -> None:
        self._going = going
        self._place = place
        self._read = read

    async def run(self, tag: Tag, target: Digest) -> bool:
        """Delete the tag, which points at `target`. `SourceRefused`."""
        status = await self._delete(tag)
        if status in _DONE:
            return True
        if status not in _NOT_BY_TAG:
            raise self._refused(status)
        needing = await self._needing(tag, target)
        if needing is not None:
            raise SourceRefused(
                f"deletes no tag alone (answered {status}), and {needing} needs the manifest {target}",
                source=self._place.source,
            )
        status = await self._delete(str(target))
        if status not in _DONE:
            raise self._refused(status)
        return True

    async def _delete(self, reference: str) -> int:
        path = Endpoint.MANIFEST.path(self._place.name, reference)
        async with self._place.request("DELETE", path) as answer:
            return answer.status

    async def _needing(self, tag: Tag, target: Digest) -> Tag | None:
        """Another tag that would be broken without the manifest."""
        for other in (await self._read.tags.tags(EVERY)).tags:
            if other == tag or other in self._going:
                continue
            try:
                found = (await self._read.tags.resolve(other)).descriptor
                if found.digest == target:
                    return other
                if found.media_type not in INDEXES:
                    continue
                index = (await self._read.manifests.manifest(found.digest)).manifest
            except ManifestUnknown:
                continue
            if any(each.digest == target for each in mentions(index.data, index.media_type).named):
                return other
        return None

    def _refused(self, status: int) -> SourceRefused:
        return SourceRefused(
            f"answered {status} to a deletion: it does not delete, or does not let this node; delete it there by hand",
            source=self._place.source,
        )
