"""When images were used: by their own parts, and by records of pulls where the store knows nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from registry_mesh.assembly.access.pull_keeping import PullKeeping, day_of
from registry_mesh.assembly.watch.image_uses import image_uses
from registry_mesh.config.pulls import Pulls
from registry_mesh.content.holdings.image import Image, Part
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.ports.holdings import Uses
from registry_mesh.ports.place import Place
from registry_mesh.ports.pulls import Pull
from registry_mesh.stores.disk.store import DiskStore

PLACE = Place(RegistryName("r"), RepositoryName("a"))
ONE, TWO, OWN, SHARED = (Digest.of(name) for name in (b"one", b"two", b"own", b"shared"))
NOW = 1_764_000_000.0
TODAY = day_of(NOW)


def image(tag: str, digest: Digest, *layers: Digest) -> Image:
    return Image(PLACE, tag, digest, tuple(Part(each, 1, 1) for each in (digest, *layers)))


IMAGES = [image("1", ONE, OWN, SHARED), image("latest", ONE, OWN, SHARED), image("2", TWO, SHARED)]


@dataclass
class Known:
    """A store's account of uses."""

    last: Mapping[Digest, float] = field(default_factory=dict)

    async def used(self, digests: object) -> Uses:
        return Uses(NOW - 86400, {each: at for each, at in self.last.items() if each in set(digests)})  # type: ignore[call-overload]

    held = drop = spare = DiskStore.delete


def pull(tag: str, digest: Digest, day: str, pulls: int, kind: str = "manifest") -> Pull:
    return Pull(day, "s", "r", "a", kind, str(digest), tag, "me", pulls, 9)


async def keeping(folder: Path, *pulls: Pull) -> PullKeeping:
    kept = PullKeeping(Pulls(file=str(folder / "pulls")), clock=lambda: NOW)
    await kept.take_over(pulls)
    return kept


async def told(last: Mapping[Digest, float], pulls: PullKeeping) -> dict[str, tuple[object, object]]:
    uses = await image_uses(IMAGES, Known(last), pulls)  # type: ignore[arg-type]
    each = {image.tag: uses.told(image) for image in IMAGES}
    return {tag: (one["last_use"], one["pulls_7d"]) for tag, one in each.items()}


async def test_a_layer_of_one_image_is_its_use_and_one_of_several_of_none() -> None:
    off = PullKeeping(Pulls())
    assert await told({OWN: NOW - 5, ONE: NOW - 50, SHARED: NOW}, off) == {
        "1": (NOW - 5, None),
        "latest": (NOW - 5, None),
        "2": (None, None),
    }


async def test_pulls_of_seven_days_count_by_tag_and_by_digest(tmp_path: Path) -> None:
    week = [day_of(NOW - days * 86400) for days in range(9)]
    kept = await keeping(
        tmp_path,
        pull("1", ONE, TODAY, 3),
        pull("", ONE, week[6], 4),
        pull("1", TWO, week[1], 10),
        pull("", ONE, week[7], 100),
        pull("", ONE, TODAY, 1000, kind="blob"),
    )
    midnight = time.mktime(time.strptime(f"{TODAY} UTC", "%Y-%m-%d %Z")) - time.timezone
    assert await told({TWO: NOW}, kept) == {
        "1": (midnight, 17),
        "latest": (midnight - 6 * 86400, 4),
        "2": (NOW, 0),
    }


async def test_an_older_record_is_looked_for_where_nothing_else_is_known(tmp_path: Path) -> None:
    kept = await keeping(tmp_path, pull("2", TWO, "2025-01-31", 7), pull("", ONE, TODAY, 1))
    last, pulls = (await told({}, kept))["2"]
    assert (last, pulls) == (1738281600.0, 0)
