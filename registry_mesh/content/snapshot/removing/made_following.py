"""What becomes of tags that rules made of others, here or at registries that are pushed to, and make no longer.

A target goes only when no selected source makes it any more: it is gone when all its sources are, and unselected when
one of them is there and nothing makes the target of it. A source that could not be asked tells nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from registry_mesh.content.snapshot.records.made_tags import MadeTag, MadeTags
from registry_mesh.content.snapshot.records.remembered_tags import TagMemory
from registry_mesh.content.snapshot.removing.following import Followed
from registry_mesh.content.snapshot.removing.going import Going
from registry_mesh.content.snapshot.removing.removal_targets import RemovalTargets
from registry_mesh.content.snapshot.removing.removing import Removing
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.oci.refusals import ManifestUnknown, NameUnknown, Refusal
from registry_mesh.ports.failures import Failure, StoreBroken
from registry_mesh.ports.place import Outward, Place
from registry_mesh.ports.records import KeyedRecords
from registry_mesh.ports.repositories import RegistrySource, Resolved
from registry_mesh.ports.unfollowed import Following, Unfollowed, Why, following, forget, note
from registry_mesh.replication.rules import Rules
from registry_mesh.replication.wanted import is_companion

_WORST_FIRST: Final = (Why.UNTOLD, Why.UNSELECTED, Why.GONE)


@dataclass(frozen=True, slots=True)
class _Listed:
    """What a source said of its tags; `whole`: the list is known to have come to its end."""

    tags: frozenset[Tag]
    whole: bool


class MadeFollowing:
    """Gathers over a run what is still made, then looks at the rest. `now` in seconds since the epoch."""

    def __init__(
        self,
        rules: Rules,
        sources: Mapping[RegistryName, RegistrySource],
        made: MadeTags,
        targets: RemovalTargets,
        records: KeyedRecords,
        followed: Followed,
        now: float,
    ) -> None:
        self._rules = rules
        self._sources = sources
        self._made = made
        self._targets = targets
        self._records = records
        self._followed = followed
        self._now = now
        self._listed: dict[Place, _Listed] = {}
        self._alive: set[tuple[Place, Tag]] = set()

    def listed(self, place: Place, tags: frozenset[Tag], whole: bool) -> None:
        """A source listed its tags."""
        self._listed[place] = _Listed(tags, whole)

    def alive(self, place: Place, tags: Iterable[Tag]) -> None:
        """Tags that a source makes, or would, if nothing stood in its way."""
        self._alive |= {(place, tag) for tag in tags}

    async def look(self, removing: Removing) -> None:
        """Tell `removing` what is made no longer. `StoreFull`, `StoreBroken`."""
        for place, tags in self._made.all.items():
            before = await following(self._records, noted_at(place))
            away = {
                tag: await self._away(tag, one, before)
                for tag, one in tags.items()
                if (place, tag) not in self._alive
            }
            told = Following({tag: one.rules for tag, one in tags.items()}, away)
            if told != before:
                await note(self._records, noted_at(place), told)
            if removing.may_delete:
                await self._offer(removing, place, tags, told)

    async def _away(self, tag: Tag, one: MadeTag, before: Following) -> Unfollowed:
        found = {await self._why(place, source) for place, source in one.of} or {Why.UNTOLD}
        why = next(each for each in _WORST_FIRST if each in found)
        known = before.unfollowed.get(tag)
        return known if known is not None and known.why is why else Unfollowed(why, self._now)

    async def _why(self, place: Place, tag: Tag) -> Why:
        if place.registry not in self._sources:
            return Why.UNTOLD
        listed = self._listed.get(place)
        if listed is None:
            taken = self._rules.of(place.registry, place.repository)
            return Why.UNTOLD if taken else Why.UNSELECTED
        source = self._sources[place.registry].repository(place.repository)
        return await self._followed.why(source, listed.tags, tag, listed.whole)

    async def _offer(
        self, removing: Removing, place: Place, tags: Mapping[Tag, MadeTag], told: Following
    ) -> None:
        for tag, away in told.unfollowed.items():
            one = tags[tag]
            if is_companion(tag) or (away.why is Why.UNTOLD and not self._rules.deny):
                continue  # a signature goes with what it is of
            try:
                held = await self._targets.at(place).kept.tags.resolve(tag)
            except (ManifestUnknown, NameUnknown):
                self._made.drop(place, {tag})
                continue
            except StoreBroken:
                raise
            except (Failure, Refusal) as fault:
                removing.troubles.append(
                    (f"{place}:{tag}", f"whether it is to go is not known: {fault.reason}")
                )
                continue
            denied = self._denied(one, held)
            if denied is not None:
                digest = str(held.descriptor.digest)
                removing.let_go(Going(place, tag, digest, denied, guarded=False, change=held.change))
            elif away.why is not Why.UNTOLD:
                memory = TagMemory("", one.here, here=one.here, held_until=one.held_until)
                removing.decide(place, tag, held, told, memory, None)

    def _denied(self, one: MadeTag, held: Resolved) -> str | None:
        digest = held.descriptor.digest
        for place, tag in one.of:
            denial = self._rules.denying(place.registry, place.repository, tag, digest)
            if denial is not None:
                return f"{place}:{tag} is denied{f': {denial.note}' if denial.note else ''}"
        return None

    async def forget(self, removing: Removing) -> None:
        """Remember nothing of what went, or is somebody else's now. `StoreFull`, `StoreBroken`."""
        for gone in (removing.deleted, removing.left):
            for place, tags in gone.items():
                if place in self._made.all:
                    self._made.drop(place, tags)
                    await forget(self._records, noted_at(place), tags)
        await self._made.flush()


def noted_at(place: Place) -> Place:
    """Where it is noted what is followed of the tags that are made in a repository: below what none is named."""
    kind = "_out" if isinstance(place, Outward) else "_made"
    return Place(place.registry, RepositoryName(f"{kind}/{place.repository}"))
