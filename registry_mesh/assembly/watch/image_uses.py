"""When images were used last, and how often they were pulled: of what the store notes and the records of pulls say."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol

from registry_mesh.admin.images import Told
from registry_mesh.content.holdings.image import Image
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.holdings import Holdings, Uses
from registry_mesh.pulls.ledger import PullCount

_LATELY: Final = 6 * 86400.0
"""Seconds before today that pulls are counted of: seven days in all."""

Key = tuple[str, str, str]
"""Registry, repository, and a tag or a digest."""


class PullsKept(Protocol):
    """Records of pulls. `StoreBroken`."""

    @property
    def keeps(self) -> bool:
        """Whether there are any."""
        ...

    async def counts(self, seconds: float) -> Sequence[PullCount]:
        """How often manifests were pulled within the last `seconds`."""
        ...

    async def last_days(self) -> Mapping[tuple[str, str, str, str], str]:
        """The newest day of each registry, repository, tag and digest."""
        ...

    async def began(self) -> str:
        """The oldest day; empty where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class ImageUses:
    """Of the images of one node."""

    uses: Uses
    own: frozenset[Digest]
    """Parts of one image only: who reads them uses it."""
    days: Mapping[Key, str] = field(default_factory=dict)
    """The newest day of a pull."""
    pulls: Mapping[Key, int] | None = None
    """Within seven days; None where none are recorded."""
    pulls_began: str = ""
    """The oldest day of records."""

    @property
    def began(self) -> float:
        """Since when it is known of each image whether it is used; 0: it is not."""
        return self.uses.began

    def told(self, image: Image) -> Told:
        """What is known of the image. `last_use` is in seconds since the epoch, None where it was not used since
        uses are noted; of a use that only records of pulls know it is the day's first second."""
        mine = (each.digest for each in image.parts if each.digest in self.own or each.digest == image.digest)
        times = [self.uses.last.get(digest, 0.0) for digest in mine]
        times += [_time(self.days[key]) for key in keys(image) if key in self.days]
        pulls = None if self.pulls is None else sum(self.pulls.get(key, 0) for key in keys(image))
        return {"last_use": max(times, default=0.0) or None, "pulls_7d": pulls}


def keys(image: Image) -> tuple[Key, Key]:
    """What an image is pulled by: its tag, its digest."""
    place = (image.place.registry, image.place.repository)
    return (*place, image.tag), (*place, str(image.digest))


async def image_uses(images: Sequence[Image], holdings: Holdings, pulls: PullsKept) -> ImageUses:
    """What is known of `images`. `StoreBroken`."""
    own = own_parts(images)
    uses = await holdings.used({*own, *(image.digest for image in images)})
    if not pulls.keeps:
        return ImageUses(uses, own)
    counts: defaultdict[Key, int] = defaultdict(int)
    days: dict[Key, str] = {}
    for each in await pulls.counts(_LATELY):
        key = (each.registry, each.repository, each.tag or each.digest)
        counts[key] += each.pulls
        days[key] = max(days.get(key, ""), each.day)
    if any(image.digest not in uses.last and not days.keys() & {*keys(image)} for image in images):
        days = _newest(await pulls.last_days())
    return ImageUses(uses, own, days, counts, await pulls.began())


def own_parts(images: Iterable[Image]) -> frozenset[Digest]:
    """The parts that only one image has, under however many tags."""
    parts = {image.digest: image.parts for image in images}
    users = Counter(part.digest for found in parts.values() for part in found)
    return frozenset(digest for digest, count in users.items() if count == 1)


def _newest(days: Mapping[tuple[str, str, str, str], str]) -> dict[Key, str]:
    found: dict[Key, str] = {}
    for (registry, repository, tag, digest), day in days.items():
        key = (registry, repository, tag or digest)
        found[key] = max(found.get(key, ""), day)
    return found


def _time(day: str) -> float:
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
