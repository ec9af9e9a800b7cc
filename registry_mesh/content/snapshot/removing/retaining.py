"""What an origin keeps of its own tags by rules: one run.

A rule takes tags by its patterns; with `keep` it keeps the newest of them, without it all. A tag that several rules
take stays where one of them keeps it, and one that none takes is not touched. What is not kept is noted with the time,
and goes `delete` after that, by the same deletions as at a replica (`removing`): behind the guard, by a record of the
tag's own log, from which it can be brought back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from registry_mesh.content.snapshot.records.outcome import Stopped
from registry_mesh.content.snapshot.records.remembered_tags import TagMemory
from registry_mesh.content.snapshot.removing.going import Going
from registry_mesh.content.snapshot.removing.removal_targets import HeldTargets
from registry_mesh.content.snapshot.removing.removing import Removing
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.ports.place import Place
from registry_mesh.ports.records import Records
from registry_mesh.ports.repositories import KeptTags
from registry_mesh.ports.unfollowed import Following, Unfollowed, Why, following, note
from registry_mesh.replication.keep import kept
from registry_mesh.replication.rules import Rule, Rules
from registry_mesh.replication.wanted import is_companion, selecting


class DatedTags(KeptTags, Protocol):
    """One repository that knows since when its tags point where they point."""

    async def set_at(self) -> Mapping[Tag, float]:
        """Its tags, and since when each is so, in seconds since the epoch."""
        ...


class DatedStore(Protocol):
    """Where such repositories are held."""

    def repository(self, registry: RegistryName, name: RepositoryName) -> DatedTags:
        """The repository, whether anything is in it or not."""
        ...

    def repositories(self, registry: RegistryName, last: str = "") -> AsyncIterator[RepositoryName]:
        """Those that hold anything and come after `last`, in ASCII order."""
        ...


Fixed = Callable[[RepositoryName, Tag], bool]
"""Whether a tag never moves, whatever rules say."""


@dataclass(frozen=True, slots=True)
class Retained:
    """What came of a run."""

    repositories: int
    going: Sequence[Going]
    """What was to go, deleted or not."""
    deleted: int
    notes: Sequence[str]
    troubles: Sequence[str]
    stopped: Sequence[Stopped] = ()
    """What the guard stopped."""

    @property
    def done(self) -> Sequence[str]:
        """What was deleted, and what stopped it, in words."""
        return f"deleted {self.deleted} tags", *self.troubles


class Retaining:
    """One run of an origin's rules over its registry. `now` is in seconds since the epoch."""

    def __init__(
        self,
        rules: Rules,
        registry: RegistryName,
        store: DatedStore,
        records: Records,
        fixed: Fixed,
        now: float,
    ) -> None:
        self._rules = rules
        self._registry = registry
        self._store = store
        self._records = records
        self._fixed = fixed
        self._now = now
        self._removing = Removing(rules, HeldTargets(store), records, now)
        self._looked = 0

    async def run(self, *, dry_run: bool = False) -> Retained:
        """Look at every repository that a rule takes, then let go what is to go; with `dry_run` write nothing."""
        async for name in self._store.repositories(self._registry):
            by = [r for r in self._rules if r.registry == self._registry and name in r.repositories]
            if by:
                await self._look(Place(self._registry, name), by, dry_run)
        going = self._removing.going
        if not dry_run:
            await self._removing.execute()
        deleted = sum(map(len, self._removing.deleted.values()))
        troubles = [why for _, why in self._removing.troubles]
        stopped = self._removing.stopped
        return Retained(self._looked, going, deleted, self._removing.notes, troubles, stopped)

    async def _look(self, place: Place, by: Sequence[Rule], dry_run: bool) -> None:
        self._looked += 1
        target = self._store.repository(place.registry, place.repository)
        dated = {tag: at for tag, at in (await target.set_at()).items() if not is_companion(tag)}
        taken = selecting(by, dated)
        stay = self._staying(place, taken, dated)
        before = await following(self._records, place)
        away = {tag: self._away(before, tag, dated[tag]) for tag in taken if tag not in stay}
        told = Following({tag: tuple(rule.name for rule in rules) for tag, rules in taken.items()}, away)
        if told != before and not dry_run:
            await note(self._records, place, told)
        memory = {tag: TagMemory("", at, here=at) for tag, at in dated.items()}
        await self._removing.look(place, target, told, memory, {})

    def _staying(
        self, place: Place, taken: Mapping[Tag, Sequence[Rule]], dated: Mapping[Tag, float]
    ) -> Collection[Tag]:
        stay = {tag for tag in taken if self._fixed(place.repository, tag)}
        for rule in {id(each): each for rules in taken.values() for each in rules}.values():
            tags = [tag for tag, rules in taken.items() if rule in rules]
            stay |= set(
                tags if rule.keep is None else kept(rule.keep, rule.tags.patterns, tags, dated, self._now)
            )
        return stay

    def _away(self, before: Following, tag: Tag, at: float) -> Unfollowed:
        """Since when it is not kept; anew where it was set since."""
        known = before.unfollowed.get(tag)
        return known if known is not None and known.since >= at else Unfollowed(Why.UNSELECTED, self._now)
