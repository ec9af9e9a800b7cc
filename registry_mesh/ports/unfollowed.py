"""Tags that a replica holds and no longer follows: written by its runs, read by what answers."""

from __future__ import annotations

import enum
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from registry_mesh.oci.reference import Tag
from registry_mesh.ports.place import Place
from registry_mesh.ports.records import KeyedRecords


class Why(enum.Enum):
    """Why a held tag is not followed."""

    GONE = "gone"
    """Its source lists its tags, not this one, and says that there is none."""
    UNSELECTED = "unselected"
    """No rule takes it any more."""
    UNTOLD = "untold"
    """Its source says nothing of the repository, or lists no tag at all: which may be a fault of the source."""


@dataclass(frozen=True, slots=True)
class Unfollowed:
    """A held tag that is not followed since `since`, in seconds since the epoch."""

    why: Why
    since: float


@dataclass(frozen=True, slots=True)
class Following:
    """What is followed of one repository: by tag the rules that wanted it last, and what is not followed now."""

    wanted: Mapping[Tag, tuple[str, ...]] = field(default_factory=dict)
    unfollowed: Mapping[Tag, Unfollowed] = field(default_factory=dict)

    def encode(self) -> bytes:
        """As it is kept."""
        away = {tag: [each.why.value, each.since] for tag, each in sorted(self.unfollowed.items())}
        return json.dumps(
            {"wanted": {t: list(by) for t, by in sorted(self.wanted.items())}, "away": away}
        ).encode()

    @classmethod
    def decode(cls, data: bytes | None) -> Following:
        """What was kept; nothing for what cannot be read."""
        try:
            told: dict[str, Any] = json.loads(data or b"{}")  # Any: JSON
            wanted = {Tag(tag): tuple(map(str, by)) for tag, by in told.get("wanted", {}).items()}
            away = {
                Tag(tag): Unfollowed(Why(why), float(since))
                for tag, (why, since) in told.get("away", {}).items()
            }
        except (ValueError, TypeError, AttributeError):
            return cls()
        return cls(wanted, away)


async def following(records: KeyedRecords, place: Place) -> Following:
    """What was noted last of a repository. `StoreBroken`."""
    return Following.decode(await records.get(_key(place)))


async def note(records: KeyedRecords, place: Place, told: Following) -> None:
    """Keep it. `StoreFull`, `StoreBroken`."""
    await records.put(_key(place), told.encode())


async def forget(records: KeyedRecords, place: Place, tags: Collection[Tag]) -> None:
    """Keep nothing of `tags`: what is brought back is looked at anew. `StoreFull`, `StoreBroken`."""
    told = await following(records, place)
    wanted = {tag: by for tag, by in told.wanted.items() if tag not in tags}
    away = {tag: each for tag, each in told.unfollowed.items() if tag not in tags}
    await note(records, place, Following(wanted, away))


def _key(place: Place) -> str:
    return f"receipts/{place.registry}/{place.repository}/following.json"
