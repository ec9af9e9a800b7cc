"""The images of a copy of which bytes move now, and how far each has come."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass
from typing import Final

MOST: Final = 20
"""Images that are told of one by one, those with the least left first."""


@dataclass(frozen=True, slots=True)
class ImageProgress:
    """One image, as its source calls it, and `to` where it goes under another name. Sizes in bytes, rate in bytes a
    second, ETA in seconds. A blob of several images counts at each."""

    image: str
    to: str
    size: int
    """That this run moves for it: in, and out where it is pushed."""
    done: int
    rate: float

    @property
    def left(self) -> int:
        """Bytes that are still to be moved."""
        return max(0, self.size - self.done)

    @property
    def eta(self) -> float | None:
        """None: nothing moves just now."""
        return self.left / self.rate if self.rate > 0 else None


@dataclass(slots=True)
class _Part:
    """The bytes of one blob on one way."""

    size: int
    done: int = 0
    began: float = 0.0
    at_first: int = 0  # of `done`, when it began

    def rate(self, now: float) -> float:
        return (self.done - self.at_first) / (now - self.began) if now > self.began else 0.0


class ImagesComing:
    """`expect` all parts and `add` the images once; then say of each part, by its key, what moves. `clock` in seconds,
    monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._parts: dict[Hashable, _Part] = {}
        self._images: list[tuple[str, str, Collection[Hashable]]] = []
        self._of: dict[Hashable, list[int]] = {}
        self._moving: dict[Hashable, _Part] = {}

    def expect(self, sizes: Mapping[Hashable, int]) -> None:
        """The bytes of each part that moves."""
        self._parts = {key: _Part(size) for key, size in sizes.items()}

    def add(self, image: str, to: str, parts: Collection[Hashable]) -> None:
        """An image, and where it goes under another name; its parts are among those that are expected."""
        for key in parts:
            self._of.setdefault(key, []).append(len(self._images))
        self._images.append((image, to, parts))

    def moved(self, key: Hashable, size: int) -> None:
        """So many bytes of a part (fewer where negative)."""
        part = self._parts.get(key)
        if part is None:
            return
        part.done += size
        if key not in self._moving:
            part.began, part.at_first = self._clock(), part.done
            self._moving[key] = part

    def stopped(self, key: Hashable) -> None:
        """Nothing of the part moves any more, for the time being or for good."""
        self._moving.pop(key, None)

    def complete(self, key: Hashable) -> int:
        """The part is where it is to be. Gives how many of its bytes did not have to be moved."""
        self.stopped(key)
        part = self._parts.get(key)
        if part is None:
            return 0
        spared, part.done = part.size - part.done, part.size
        return spared

    def look(self, most: int = MOST) -> tuple[list[ImageProgress], int]:
        """Those of which bytes move now, the ones that lack least first, and how many there are in all."""
        now = self._clock()
        numbers = {number for key in self._moving for number in self._of.get(key, ())}
        found = [self._progress(number, now) for number in sorted(numbers)[: 10 * most]]
        return sorted(found, key=lambda each: each.left)[:most], len(numbers)

    def _progress(self, number: int, now: float) -> ImageProgress:
        image, to, keys = self._images[number]
        parts = [self._parts[key] for key in keys]
        rate = sum(self._moving[key].rate(now) for key in keys if key in self._moving)
        return ImageProgress(image, to, sum(p.size for p in parts), sum(p.done for p in parts), rate)
