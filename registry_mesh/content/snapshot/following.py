"""What becomes of tags that are held and not wanted as they are: looked at after each run.

A tag is *gone* only where its source lists the repository's tags, not this one, and says by itself that there is none.
An error, an empty list where there were tags, or a repository that its source does not know is no deletion. What is
deleted, and when, the rules say (`replication.removal`); deleting moves the tag's log, as at an origin, so that it can
be brought back, and what nothing refers to any more is the collection's.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from registry_mesh.content.snapshot.asking import Asking
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import ManifestUnknown, NameUnknown
from registry_mesh.ports.place import Place
from registry_mesh.ports.records import KeyedRecords
from registry_mesh.ports.repositories import EVERY, KeptRepository, Repository
from registry_mesh.ports.unfollowed import Following, Unfollowed, Why, following, note
from registry_mesh.replication.removal import guarded, removal
from registry_mesh.replication.rules import Rules
from registry_mesh.replication.wanted import is_companion

_DAY: Final = 86400.0
_REMOVED: Final = "receipts/removed.json"
"""When tags were deleted within the last day, by registry."""


@dataclass(frozen=True, slots=True)
class Due:
    """A tag that is to be deleted, and why."""

    place: Place
    target: KeptRepository
    tag: Tag
    because: str


@dataclass(slots=True)
class Followed:
    """Looks at the repositories of one run; deletes at its end what is due, unless the guard stops it."""

    rules: Rules
    records: KeyedRecords
    asking: Asking
    now: float
    due: list[Due] = field(default_factory=list)
    tags: Counter[str] = field(default_factory=Counter)

    async def look(
        self,
        place: Place,
        target: KeptRepository,
        source: Repository | None,
        listed: Collection[Tag],
        wanted: Mapping[Tag, tuple[str, ...]],
    ) -> None:
        """At one repository: `listed` at its source (None: which says nothing of it), `wanted` by which rules."""
        held = await _held(target)
        self.tags[place.registry] += len(held)
        before = await following(self.records, place)
        away: dict[Tag, Unfollowed] = {}
        for tag in held:
            if tag not in wanted:
                why = await self._why(source, listed, tag)
                if why is Why.UNSELECTED and is_companion(tag):
                    continue  # a signature goes with its source's
                known = before.unfollowed.get(tag)
                same = known is not None and known.why is why
                away[tag] = known if known is not None and same else Unfollowed(why, self.now)
                self._judge(place, target, tag, away[tag], before.wanted.get(tag, ()))
        by = {tag: wanted.get(tag) or before.wanted.get(tag, ()) for tag in (*held, *wanted)}
        told = Following({tag: names for tag, names in by.items() if names}, away)
        if told != before:
            await note(self.records, place, told)

    async def _why(self, source: Repository | None, listed: Collection[Tag], tag: Tag) -> Why:
        if source is None or not listed:
            return Why.UNTOLD
        if tag in listed:
            return Why.UNSELECTED
        try:
            await self.asking.ask(source.registry, lambda: source.tags.resolve(tag))
        except ManifestUnknown:
            return Why.GONE
        except Exception:
            return Why.UNTOLD
        return Why.UNSELECTED

    def _judge(
        self, place: Place, target: KeptRepository, tag: Tag, away: Unfollowed, by: Iterable[str]
    ) -> None:
        gone = away.since if away.why is Why.GONE else None
        unselected = away.since if away.why is Why.UNSELECTED else None
        found = removal(self.rules, tuple(by), gone, unselected, self.now, None, self.now)
        if found is not None and found.due:
            self.due.append(Due(place, target, tag, found.because))

    async def delete(self) -> tuple[list[str], list[str]]:
        """Delete what is due; what was deleted, and what the guard stopped, in words."""
        lately = await self._lately()
        counts = Counter(str(each.place.registry) for each in self.due)
        before = {registry: len(times) for registry, times in lately.items()}
        stopped = {
            each.registry: each
            for each in guarded(self.tags, counts, before, self.rules.guard)
            if each.stopped
        }
        gone = []
        for each in self.due:
            if each.place.registry not in stopped:
                await each.target.untag(each.tag, each.because)
                lately.setdefault(str(each.place.registry), []).append(self.now)
                gone.append(f"{each.place}:{each.tag} was deleted: {each.because}")
        if gone:
            await self.records.put(_REMOVED, json.dumps(lately).encode())
        return gone, [
            f"{each.deletes} of {each.tags} tags would go within a day ({each.share:.0%}), and the guard is "
            f"{each.guard:.0%}: nothing of {each.registry} was deleted"
            for each in stopped.values()
        ]

    async def _lately(self) -> dict[str, list[float]]:
        try:
            told = json.loads(await self.records.get(_REMOVED) or b"{}")
            kept = {str(r): [float(t) for t in times] for r, times in told.items()}
        except (ValueError, TypeError, AttributeError):
            return {}
        return {r: [t for t in times if 0 <= self.now - t < _DAY] for r, times in kept.items()}


async def _held(target: KeptRepository) -> tuple[Tag, ...]:
    try:
        return (await target.kept.tags.tags(EVERY)).tags
    except NameUnknown:
        return ()
