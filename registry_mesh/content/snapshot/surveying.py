"""Looks at every repository that rules take, and says what becomes of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from registry_mesh.content.snapshot.finding.asking import Asking
from registry_mesh.content.snapshot.finding.explorer import Explorer
from registry_mesh.content.snapshot.finding.signatures import Signatures
from registry_mesh.content.snapshot.found import Findings
from registry_mesh.content.snapshot.pending import Pending
from registry_mesh.content.snapshot.planning import Planning
from registry_mesh.content.snapshot.records.run_records import RunRecords, noted_at
from registry_mesh.content.snapshot.removing.following import Followed
from registry_mesh.content.snapshot.removing.made_following import MadeFollowing
from registry_mesh.content.snapshot.removing.outgoing import OutgoingRepository
from registry_mesh.content.snapshot.removing.pinned import PinnedTarget, bare_pins, with_pins
from registry_mesh.content.snapshot.removing.removal_targets import RuleTargets
from registry_mesh.content.snapshot.removing.removing import Removing
from registry_mesh.content.snapshot.renaming import Destination, RenamedTarget, destinations
from registry_mesh.content.snapshot.settings import Ours
from registry_mesh.content.snapshot.survey import Survey
from registry_mesh.content.snapshot.tag_looks import list_tags
from registry_mesh.content.snapshot.told import Told
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.oci.refusals import NameUnknown, Refusal
from registry_mesh.ports.failures import Failure, SourceLied, SourceRefused, StoreBroken
from registry_mesh.ports.place import Place
from registry_mesh.ports.repositories import EVERY, KeptRepository, RegistrySource, Repository, TagPage
from registry_mesh.replication import sentences
from registry_mesh.replication.rules import Rule, Rules
from registry_mesh.replication.wanted import Listing

MAX_REPOSITORIES: Final = 1_000_000


class Surveying:
    """Looks at the repositories of one run. `clock` gives seconds since the epoch."""

    def __init__(
        self,
        rules: Rules,
        sources: Mapping[RegistryName, RegistrySource],
        ours: Ours,
        records: RunRecords,
        asking: Asking,
        planning: Planning,
        told: Told,
        clock: Callable[[], float],
        referrers_every: float,
    ) -> None:
        self._rules = rules
        self._sources = sources
        self._ours = ours
        self._records = records
        self._asking = asking
        self._planning = planning
        self._told = told
        self._clock = clock
        self._referrers_every = referrers_every
        self._signatures = Signatures(asking, ours.signers, ours.unusable)
        self._explorer = Explorer(ours.blobs, asking)
        self._renames = ours.own is not None or any(rule.to for rule in rules)
        now = clock()  # one for all: what is found away at it and goes at once goes by it
        self._followed = Followed(ours.records, asking, now)
        targets = RuleTargets(ours.repositories, ours.outward, ours.records, records.made)
        self.removing = Removing(rules, targets, ours.records, now)
        """What is to be deleted."""
        self.made = MadeFollowing(rules, sources, records.made, targets, ours.records, self._followed, now)
        """What becomes of tags of other names."""

    async def places(self, listing: Listing, due: Rules) -> list[Place]:
        """The repositories of a registry that some rule takes which is due."""
        names = set(listing.names)
        source = self._sources.get(listing.registry)
        if source is None:
            why = "rules name it, and it is not among the configured registries"
            self._told.trouble(str(listing.registry), why)
            return []
        if listing.patterns:
            try:
                names |= await self._asking.ask(listing.registry, partial(_listed, source))
            except (Failure, Refusal) as fault:
                self._told.unlisted.add(listing.registry)
                why = f"its repositories cannot be listed: {fault.reason}"
                self._told.trouble(str(listing.registry), why)
        return [Place(listing.registry, n) for n in sorted(names) if due.of(listing.registry, n)]

    async def look(self, place: Place, named: frozenset[RepositoryName]) -> None:
        """Look at one repository, and take what changed into the copy. `named`: those that rules name in full."""
        rules = self._rules.of(place.registry, place.repository)
        target = self._kept(place)
        source = self._sources[place.registry].repository(place.repository)
        source = with_pins(source, target.kept, bare_pins(rules))
        try:
            if self._renames:
                await self._look_renamed(place, source, target, rules)
                return
            found = await self._survey(place, source, target, rules, self._clock())
            if not found.faults.get(""):
                self.made.listed(place, found.listed, found.whole)
        except NameUnknown:
            self._told.heard |= {rule.name for rule in rules}
            self._told.selecting |= {rule.name for rule in rules}  # why they take nothing is told here
            await self._gone(place, target, place.repository in named)
            return
        if not found.faults.get("") and not found.selecting and place.repository in named:
            self._told.notes.append(f"{place}: none of its tags is taken by a rule")
        wanted = {tag: found.by.get(tag, ()) for tag in found.seen}
        await self._look_after(place, source, target, found, wanted)
        self._planning.add(source, target, place, found)

    async def unselected(self, place: Place) -> None:
        """Look at a repository that is held and that no rule takes any more."""
        target = self._kept(place)
        held = await target.kept.tags.tags(EVERY)
        made = self._records.made.of(place)
        if made.keys() >= set(held.tags) and not self._rules.deny:
            return
        source = self._sources[place.registry].repository(place.repository)
        told = await self._followed.look(place, target, source, held.tags, made)
        await self.removing.look(place, target, told, await self._records.remembered.of(place), {})

    async def _look_renamed(
        self, place: Place, source: Repository, target: KeptRepository, rules: tuple[Rule, ...]
    ) -> None:
        """Each repository that is made of this one by itself; what is copied is known when all were looked at."""
        try:
            page = await list_tags(source, self._asking)
        except NameUnknown:
            raise
        except (Failure, Refusal) as fault:
            self._told.unlisted_place(place, rules, fault)
            return
        several, faults = destinations(place, rules, page.tags, self._ours.own)
        for unnamed in faults:
            self._told.trouble(str(place), unnamed)
        self.made.listed(place, frozenset(page.tags), not page.note)
        wanted: dict[Tag, tuple[str, ...]] = {}
        last = Findings(listed=frozenset(page.tags), whole=not page.note)
        now = self._clock()  # one for all destinations: a value is seen once
        for to in several:
            try:
                renamed = self._target(to)
                found = await self._survey(place, source, renamed, tuple(to.rules), now, page, to)
                to.take(found.by)
            except (Failure, Refusal) as fault:
                if not to.is_outward or isinstance(fault, StoreBroken):
                    raise
                self.made.alive(to.place, to.names)
                self._told.selecting |= {rule.name for rule in to.rules}
                self._told.trouble(str(to.place), fault.reason)
                continue
            if to.place == place:
                last.past = found.past
                wanted = {tag: found.by.get(tag, ()) for tag in found.seen if tag in to.of(tag)}
            last.remembered |= found.remembered
            pending = Pending(source, renamed, place, to, found)
            self.made.alive(to.place, pending.alive)
            self._planning.postpone(pending)
        await self._look_after(place, source, target, last, wanted)

    def _kept(self, place: Place) -> KeptRepository:
        return PinnedTarget(self._ours.repositories.repository(place.registry, place.repository))

    def _target(self, to: Destination) -> RenamedTarget:
        """A repository that is made of another, here or at a registry that is pushed to."""
        place = to.place
        if not to.is_outward:
            return RenamedTarget(self._kept(place), to)
        if self._ours.outward is None:
            raise SourceRefused(f"this node pushes nothing to {place.registry}")
        there = self._ours.outward.repository(place.registry, place.repository)
        ours = OutgoingRepository(place, there, self._ours.records)
        return RenamedTarget(ours, to, ours)

    async def _survey(
        self,
        place: Place,
        source: Repository,
        target: KeptRepository,
        rules: tuple[Rule, ...],
        now: float,
        page: TagPage | None = None,
        to: Destination | None = None,
    ) -> Findings:
        """What a look at `place` finds for `rules`, told as far as it is odd. `NameUnknown`."""
        there = to.place if to is not None else None
        receipts = await self._records.receipts.of(noted_at(place, there))
        remembered = await self._records.remembered.of(place)
        for _ in range(2):
            survey = Survey(
                source,
                target,
                receipts,
                remembered,
                self._explorer,
                self._asking,
                now,
                self._referrers_every,
                self._signatures,
                self._records.released.of(place),
                bool if to is None else to.of,
            )
            found = await survey.run(self._rules, rules, page)
            if not survey.misled:
                break
        if not found.faults.get(""):
            self._told.heard |= {rule.name for rule in rules}
        self._told.found(place, found)
        self._planning.rank(place, found, there)
        return found

    async def _look_after(
        self,
        place: Place,
        source: Repository,
        target: KeptRepository,
        found: Findings,
        wanted: Mapping[Tag, tuple[str, ...]],
    ) -> None:
        """What becomes of what is held of a repository and not `wanted`, and what is remembered of it."""
        if found.faults.get(""):
            return
        remembered = await self._records.remembered.of(place)
        wanted = {**self._records.made.of(place), **wanted}
        told = await self._followed.look(place, target, source, found.listed, wanted, found.whole)
        known = {tag: each for tag, each in remembered.items() if tag in told.wanted} | found.remembered
        if known != remembered:
            self._records.remembered.note(place, known)
        await self.removing.look(place, target, told, known, found.past)
        if told.unfollowed and not found.listed:
            why = sentences.empty(place.repository, place.registry, len(told.unfollowed))
            self._told.trouble(str(place), why)

    async def _gone(self, place: Place, target: KeptRepository, named: bool) -> None:
        """A repository that its source does not know: what a rule names in full, and was never here, is missed."""
        try:
            await target.kept.tags.tags(1)
        except NameUnknown:
            if named:
                self._told.trouble(str(place), "a rule names it, and it does not exist at its source")
            else:
                self._told.notes.append(f"{place} does not exist at its source")
        else:
            await self._followed.look(place, target, None, (), {})
            self._told.notes.append(f"{place} does not exist at its source; what is held of it stays")


async def _listed(source: RegistrySource) -> set[RepositoryName]:
    names = set()
    async for name in source.repositories():
        names.add(name)
        if len(names) > MAX_REPOSITORIES:
            raise SourceLied(f"more than {MAX_REPOSITORIES} repositories are listed")
    return names
