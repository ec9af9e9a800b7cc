"""What of the tags that rules take is kept: the newest of each repository and pattern, or all."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from registry_mesh.oci.reference import Tag
from registry_mesh.replication.pattern import Pattern, Read
from registry_mesh.replication.version import Version

Staying = Mapping[str, frozenset[Tag] | None]
"""By rule the tags that its `keep` keeps; None: all."""


class By(enum.Enum):
    """What newest means."""

    VERSION = "version"
    SEEN = "seen"


@dataclass(frozen=True, slots=True)
class Keep:
    """The `newest` by `by`, or what has been here for less than `or_younger` seconds."""

    newest: int
    by: By = By.VERSION
    or_younger: float | None = None


def kept(
    keep: Keep, patterns: Iterable[Pattern], tags: Iterable[Tag], seen: Mapping[Tag, float], now: float
) -> frozenset[Tag]:
    """Which of the selected `tags` of one repository stay. `seen`: since when each tag is known here, in seconds since
    the epoch; a tag that is not in it is seen `now`. What two patterns take stays where either keeps it; names in full
    and pins always stay."""
    tags = tuple(tags)
    stay: set[Tag] = set()
    for pattern in patterns:
        if pattern.negative:
            continue
        taken = [tag for tag in tags if pattern.matches(tag)]
        if pattern.exact is not None or pattern.pin is not None:
            stay.update(taken)
        elif keep.by is By.SEEN:
            order = sorted(taken, key=lambda tag: (-seen.get(tag, now), tag))
            stay.update(order[: keep.newest])
        else:
            stay |= _newest_versions(keep.newest, pattern, taken)
    if keep.or_younger is not None:
        stay |= {tag for tag in tags if now - seen.get(tag, now) < keep.or_younger}
    return frozenset(stay)


def _newest_versions(newest: int, pattern: Pattern, taken: Iterable[Tag]) -> set[Tag]:
    """By flavour; several tags of one version are one."""
    flavours: dict[str, dict[Version, set[Tag]]] = {}
    for tag in taken:
        read: Read | None = pattern.reads(tag)
        if read is not None:
            flavours.setdefault(read.flavour, {}).setdefault(read.version, set()).add(tag)
    return {
        tag
        for versions in flavours.values()
        for version in sorted(versions, reverse=True)[:newest]
        for tag in versions[version]
    }
