"""Which bytes move for which tag of a copy."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping
from typing import Final

from registry_mesh.content.snapshot.copying.copy_keys import BlobKey, PushKey, TagCopy, TagKey
from registry_mesh.content.snapshot.copying.images_coming import ImagesComing

_AT_A_TIME: Final = 200
"""Tags that are gone through before others get their turn."""


async def plan_images(
    images: ImagesComing, tags: Mapping[TagKey, TagCopy], sizes: Mapping[Hashable, int]
) -> None:
    """Tell `images` of the tags for which bytes move. `sizes`: of each blob on its way, in or out, by its key."""
    images.expect(sizes)
    for number, (key, tag) in enumerate(tags.items()):
        if number % _AT_A_TIME == 0:
            await asyncio.sleep(0)
        here = key.to or key.place
        blobs = dict.fromkeys(BlobKey.of(blob) for node in tag.graph.nodes.values() for blob in node.blobs)
        parts: list[Hashable] = [*blobs, *(PushKey(here, blob) for blob in blobs)]
        if found := [part for part in parts if part in sizes]:
            images.add(key.name, str(key.to or ""), found)
