"""Keeps what pinned tags point at from being evicted, as the tags move."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from registry_mesh.assembly.watch.images import NodeImages
from registry_mesh.ports.failures import Failure

EVERY: Final = 60.0
"""Seconds between two looks at what pinned tags point at."""


class PinWatch:
    """Of the images that it is given; None before the node has them."""

    def __init__(self, images: Callable[[], NodeImages | None]) -> None:
        self._images = images

    async def follow(self) -> None:
        """Look for ever. What fails is tried again at the next look."""
        while True:
            with suppress(Failure):
                if (images := self._images()) is not None:
                    await images.keep_pins()
            await asyncio.sleep(EVERY)
