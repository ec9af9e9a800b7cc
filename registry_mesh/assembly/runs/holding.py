"""What a rule's `hold` means at a site: images that it brought are pinned, so that they are not evicted."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from registry_mesh.content.holdings.image import Looks, on_disk
from registry_mesh.content.holdings.pins import Pin, Pins
from registry_mesh.content.holdings.preloaded import preloaded
from registry_mesh.content.snapshot.records.remembered_tags import RememberedTags
from registry_mesh.ports.place import Place
from registry_mesh.ports.storage import Storage

_MOST: Final = 0.5
"""The share of the quota that rules may pin."""


async def hold(storage: Storage, places: Iterable[Place], now: float) -> dict[str, str]:
    """Pin what rules promised to hold in `places`, until then; by image why one is not. `StoreFull`, `StoreBroken`."""
    if storage.holdings is None:
        return {}
    pins, remembered, failed = Pins(storage.records), RememberedTags(storage.records), dict[str, str]()
    looks, images = Looks(storage.blobs, storage.holdings), []
    before = {(pin.place, pin.tag): pin.until async for pin in pins.all(now)}
    for place in sorted(places):
        here = await preloaded(storage.records, place)
        for tag, memory in (await remembered.of(place)).items():
            if tag not in here or (memory.held_until or 0.0) <= now:
                continue
            images.append(await looks.image(place, tag, here[tag]))
            if storage.quota is not None and on_disk(images) > storage.quota * _MOST:
                images.pop()
                failed[f"{place}:{tag}"] = "not held: rules may pin at most half of the quota"
                continue
            until = None if memory.held_until == math.inf else memory.held_until
            if before.get((place, tag), 0.0) != until:
                await pins.set(Pin(place, tag, until))
    return failed
