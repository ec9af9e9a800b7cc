"""A snapshot: a replica brings itself to what its rules want of its sources, as those are now.

List the tags of every repository that a rule takes; ask what each wanted tag points at; look into those that
changed; then copy what is not held and switch each tag when everything it stands for is here. What is held serves
all the while. A tag that vanished at its source, or left the rules, is told as not followed, and deleted when the rules
say so (`content.snapshot.removing`).

What was found complete is noted per repository (`content.snapshot.receipts`), so that a run where nothing changed costs
one listing a repository and one HEAD a tag. Killed at any moment, a run leaves the old tags and what it brought;
the next one goes on from there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from registry_mesh.catalog.signer import Signer
from registry_mesh.content.snapshot.asking import Asking
from registry_mesh.content.snapshot.copy_graph import Bring, GraphCopy, TagCopy, TagKey
from registry_mesh.content.snapshot.explorer import Explorer
from registry_mesh.content.snapshot.flow import Flow, Grant, OutsideWindow, Spending
from registry_mesh.content.snapshot.following import Followed
from registry_mesh.content.snapshot.jobs import Undone, Widths
from registry_mesh.content.snapshot.made_tags import MadeTags
from registry_mesh.content.snapshot.pending import Pending, drop, writers
from registry_mesh.content.snapshot.progress import Meter, Phase
from registry_mesh.content.snapshot.receipts import Receipts
from registry_mesh.content.snapshot.released import Releases
from registry_mesh.content.snapshot.remembered_tags import RememberedTags
from registry_mesh.content.snapshot.removing import Removing
from registry_mesh.content.snapshot.renaming import RenamedTarget, contested, destinations
from registry_mesh.content.snapshot.signatures import Signatures
from registry_mesh.content.snapshot.survey import Findings, Survey, bounded, list_tags
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.oci.refusals import NameUnknown, Refusal
from registry_mesh.ports.blobs import BlobStore
from registry_mesh.ports.failures import Failure, SourceLied, StoreFull
from registry_mesh.ports.place import Place
from registry_mesh.ports.records import Records
from registry_mesh.ports.repositories import (
    EVERY,
    KeptRepository,
    RegistrySource,
    Repository,
    RepositoryStore,
    TagPage,
)
from registry_mesh.ports.room import StoreRoom
from registry_mesh.ports.unfollowed import forget
from registry_mesh.replication import sentences
from registry_mesh.replication.rules import Rule, Rules
from registry_mesh.replication.schedule import due
from registry_mesh.replication.wanted import Listing, listings

MAX_REPOSITORIES: Final = 1_000_000

_NAMED: Final = 5
"""Tags that are named of those that do not fit."""


@dataclass(frozen=True, slots=True)
class SnapshotPolicy:
    """`asks`: questions to sources at once. `repositories`: surveyed at once. `referrers_every`: seconds after
    which a tag that did not move is asked for new referrers. `widths`: jobs at once when copying."""

    asks: int = 16
    repositories: int = 8
    referrers_every: float = 3600.0
    widths: Widths = field(default_factory=Widths)
    by_hand: bool = False
    """A person asks for it: every rule is due."""
    rate: float | None = None
    """Bytes a second that all may take together; None: no bound."""
    ticks: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class Ours:
    """The replica's side: where blobs, repositories and notes are kept, and how a blob is brought in."""

    blobs: BlobStore
    bring: Bring
    repositories: RepositoryStore
    records: Records
    room: StoreRoom | None = None
    """None: no bound is known."""
    signers: Mapping[str, Signer] = field(default_factory=dict)
    """By the names that rules use."""
    unusable: Mapping[str, str] = field(default_factory=dict)
    """Signers that cannot be believed, and why."""


@dataclass(frozen=True, slots=True, order=True)
class Trouble:
    """One thing that is wanted and not held, and why."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to; `size` in bytes."""

    repositories: int
    tags: int
    """Wanted."""
    held: int
    """Of those, complete here now."""
    switched: int
    size: int
    """Brought."""
    troubles: tuple[Trouble, ...] = ()
    notes: tuple[str, ...] = ()
    """What is odd and stops nothing."""
    deleted: int = 0

    @property
    def complete(self) -> bool:
        """Whether all that was selected is here."""
        return not self.troubles


class Snapshot:
    """One run. `clock` gives seconds since the epoch; a registry that rules name must be in `sources`."""

    def __init__(
        self,
        rules: Rules,
        sources: Mapping[RegistryName, RegistrySource],
        ours: Ours,
        clock: Callable[[], float],
        meter: Meter,
        policy: SnapshotPolicy,
    ) -> None:
        self._rules = rules
        self._sources = sources
        self._ours = ours
        self._clock = clock
        self._meter = meter
        self._policy = policy
        self._receipts = Receipts(ours.records)
        self._asking = Asking(policy.asks)
        self._signatures = Signatures(self._asking, ours.signers, ours.unusable)
        self._explorer = Explorer(ours.blobs, self._asking)
        self._copy = GraphCopy(ours.blobs, ours.bring, meter, self._asking, policy.widths)
        self._troubles: list[Trouble] = []
        self._notes: list[str] = []
        self._selecting: set[str] = set()
        order = sorted(rules, key=lambda rule: -rule.priority.rank)
        self._rank_of = {rule.name: rank for rank, rule in enumerate(order)}
        self._remembered = RememberedTags(ours.records)
        self._due: frozenset[str] = frozenset()
        self._ranks: dict[TagKey, int] = {}
        self._followed = Followed(ours.records, self._asking, clock())
        self._removing = Removing(rules, ours.repositories, ours.records, clock())
        self._unlisted: set[RegistryName] = set()
        self._renames = any(rule.to for rule in rules)
        self._pending: list[Pending] = []
        grant = Grant(policy.rate, policy.ticks, policy.sleep)
        self._spending = Spending(rules, grant, ours.records, clock)
        self._is_paced = bool(policy.rate) or any(rule.when or rule.budget for rule in rules)
        self._made = MadeTags(ours.records)
        self._released = Releases(ours.records)
        self._switched = 0

    async def run(self) -> Outcome:
        """What a source or an object does wrong is in the outcome's `troubles`; a store that fails as a whole
        is raised."""
        began = self._clock()
        await self._made.load()
        await self._spending.load()
        await self._released.load()
        due = await self._due_rules(began)
        for listing in listings(due):
            places = await self._places(listing, due)
            await bounded(
                self._policy.repositories, (partial(self._survey, place, listing.exact) for place in places)
            )
        self._note_idle_rules()
        await self._take_in_pending()
        await self._copy.prune()
        await self._fit()
        self._meter.phase = Phase.COPYING
        try:
            undone = await self._copy.run()
        finally:
            await self._receipts.flush()
            await self._spending.flush()
            await self._remembered.flush(dict.fromkeys(self._due, began))
        await self._follow()
        self._meter.phase = Phase.DONE
        full = [each for each in undone if isinstance(each.failure, StoreFull)]
        if full:  # one cause: said once
            self._trouble("the store", f"{full[0].failure}: {len(full)} things were not brought for it")
        for each in undone:
            if isinstance(each.failure, OutsideWindow):
                if isinstance(each.key, TagKey):
                    self._notes.append(f"{each.key} waits: {each.failure.reason}")
            elif not isinstance(each.failure, StoreFull):
                self._trouble(str(each.key), _why(each))
        return self._outcome()

    async def _due_rules(self, now: float) -> Rules:
        """Those whose sources are asked now."""
        asked = await self._remembered.asked() if any(rule.every for rule in self._rules) else {}

        def is_due(rule: Rule) -> bool:
            every = rule.every
            return every is None or self._policy.by_hand or due(every, asked.get(rule.name), now)

        rules = tuple(rule for rule in self._rules if is_due(rule))
        self._due = frozenset(rule.name for rule in rules if rule.every is not None)
        self._selecting |= {rule.name for rule in self._rules} - {rule.name for rule in rules}
        return replace(self._rules, rules=rules)

    async def _follow(self) -> None:
        """Look at repositories that are held and that no rule takes any more; then delete what is due."""
        for registry in self._sources:
            if registry in self._unlisted:
                continue
            async for name in self._ours.repositories.repositories(registry):
                if not self._rules.of(registry, name):
                    await self._unselected(Place(registry, name))
        try:
            await self._removing.execute()
        finally:
            for place, tags in self._removing.deleted.items():
                await forget(self._ours.records, place, tags)
                await self._remembered.forget(place, tags)
            await self._remembered.flush({})
        self._notes += self._removing.notes
        for what, why in self._removing.troubles:
            self._trouble(what, why)

    async def _unselected(self, place: Place) -> None:
        target = self._ours.repositories.repository(place.registry, place.repository)
        with suppress(NameUnknown):
            held = (await target.kept.tags.tags(EVERY)).tags
            made = self._made.of(place)
            if made.keys() >= set(held) and not self._rules.deny:
                return
            source = self._sources[place.registry].repository(place.repository)
            told = await self._followed.look(place, target, source, held, made)
            await self._removing.look(place, target, told, await self._remembered.of(place), {})

    async def _fit(self) -> None:
        """Leave out what there is no room for: whole images come, in the order of the rules."""
        if self._ours.room is None:
            return
        left_out, lacking = self._copy.fit(await self._ours.room.room(), self._order)
        if left_out:
            await self._ours.room.drop_parts(self._copy.coming)
            named = ", ".join(map(str, left_out[:_NAMED])) + (", …" if len(left_out) > _NAMED else "")
            self._trouble(
                "the store",
                f"no room for {len(left_out)} of {self._meter.tags} wanted tags, {lacking / 2**20:.1f} MiB are "
                f"missing: give a larger quota or disk, or want less ({named})",
            )

    def _order(self, key: TagKey) -> tuple[int, str]:
        """The first rule that takes a tag comes first; signatures come with their images."""
        return self._ranks.get(key, len(self._rules)), str(key)

    def _outcome(self) -> Outcome:
        meter = self._meter
        return Outcome(
            meter.repositories,
            meter.tags,
            meter.tags_done,
            self._switched,
            meter.size_done,
            tuple(sorted(self._troubles)),
            tuple(sorted(self._notes)),
            sum(map(len, self._removing.deleted.values())),
        )

    async def _places(self, listing: Listing, due: Rules) -> list[Place]:
        """The repositories of a registry that some rule takes which is due."""
        names = set(listing.names)
        source = self._sources.get(listing.registry)
        if source is None:
            self._trouble(
                str(listing.registry), "rules name it, and it is not among the configured registries"
            )
            return []
        if listing.patterns:
            try:
                names |= await self._asking.ask(listing.registry, partial(_listed, source))
            except (Failure, Refusal) as fault:
                self._unlisted.add(listing.registry)
                self._trouble(str(listing.registry), f"its repositories cannot be listed: {fault.reason}")
        return [Place(listing.registry, n) for n in sorted(names) if due.of(listing.registry, n)]

    async def _survey(self, place: Place, named: frozenset[RepositoryName]) -> None:
        """Look at one repository, and take what changed into the copy. `named`: those that rules name in full."""
        source = self._sources[place.registry].repository(place.repository)
        target = self._ours.repositories.repository(place.registry, place.repository)
        rules = self._rules.of(place.registry, place.repository)
        try:
            if self._renames:
                await self._survey_renamed(place, source, target, rules)
                return
            found = await self._look(place, source, target, rules)
        except NameUnknown:
            self._selecting |= {rule.name for rule in rules}  # why they take nothing is told here
            await self._gone(place, target, place.repository in named)
            return
        if not found.faults.get("") and not found.selecting and place.repository in named:
            self._notes.append(f"{place}: none of its tags is taken by a rule")
        wanted = {tag: found.by.get(tag, ()) for tag in found.seen}
        await self._look_after(place, source, target, found, wanted)
        self._copy.add(source, target, self._planned(place, found))

    async def _survey_renamed(
        self, place: Place, source: Repository, target: KeptRepository, rules: tuple[Rule, ...]
    ) -> None:
        """Each repository that is made of this one by itself; what is copied is settled when all were looked at."""
        try:
            page = await list_tags(source, self._asking)
        except NameUnknown:
            raise
        except (Failure, Refusal) as fault:
            self._selecting |= {rule.name for rule in rules}
            self._unlisted.add(place.registry)
            self._trouble(str(place), _reason(fault))
            return
        several, faults = destinations(place, rules, page.tags)
        for unnamed in faults:
            self._trouble(str(place), unnamed)
        wanted: dict[Tag, tuple[str, ...]] = {}
        last = Findings(listed=frozenset(page.tags), whole=not page.note)
        for to in several:
            real = self._ours.repositories.repository(to.place.registry, to.place.repository)
            renamed = RenamedTarget(real, to)
            found = await self._look(place, source, renamed, tuple(to.rules), page, to.place)
            if to.place == place:
                last.past = found.past
                wanted = {tag: found.by.get(tag, ()) for tag in found.seen if tag in to.of(tag)}
            last.remembered |= found.remembered
            self._pending.append(Pending(source, renamed, place, to, found))
        await self._look_after(place, source, target, last, wanted)

    async def _look(
        self,
        place: Place,
        source: Repository,
        target: KeptRepository,
        rules: tuple[Rule, ...],
        page: TagPage | None = None,
        to: Place | None = None,
    ) -> Findings:
        """What a look at `place` finds for `rules`, told as far as it is odd. `NameUnknown`."""
        remembered = await self._remembered.of(place)
        survey = Survey(
            source,
            target,
            await self._receipts.of(_noted_at(place, to)),
            remembered,
            self._explorer,
            self._asking,
            self._clock(),
            self._policy.referrers_every,
            self._signatures,
            self._released.of(place),
        )
        found = await survey.run(self._rules, rules, page)
        self._tell(place, found)
        for tag, by in found.by.items():
            self._ranks[TagKey(place, tag, to)] = min(self._rank_of[name] for name in by)
        return found

    def _tell(self, place: Place, found: Findings) -> None:
        if found.note:
            self._notes.append(f"{place}: {found.note}")
        self._count(found)
        self._selecting |= found.selecting
        if found.faults.get(""):
            self._unlisted.add(place.registry)
        self._notes += [f"{place}:{tag} {note}" for tag, note in found.notes]
        for digest, fault in found.lost.items():
            self._trouble(
                f"{place}@{digest}", f"listed beside a wanted tag, and not to be had: {_reason(fault)}"
            )
        for tag, fault in found.faults.items():
            self._trouble(f"{place}:{tag}" if tag else str(place), _reason(fault))
        for why in found.refused.values():
            self._trouble(str(place), why)
        self._notes += found.waiting

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
        remembered = await self._remembered.of(place)
        wanted = {**self._made.of(place), **wanted}
        told = await self._followed.look(place, target, source, found.listed, wanted, found.whole)
        known = {tag: each for tag, each in remembered.items() if tag in told.wanted} | found.remembered
        if known != remembered:
            self._remembered.note(place, known)
        await self._removing.look(place, target, told, known, found.past)
        if told.unfollowed and not found.listed:
            why = sentences.empty(place.repository, place.registry, len(told.unfollowed))
            self._trouble(str(place), why)

    async def _take_in_pending(self) -> None:
        """Take into the copy what is kept under other names, but for what several would write."""
        for each in contested(writers(self._pending)):
            drop(self._pending, each)
            told = sentences.conflict(each.to, each.writers)
            if each.stopped:
                self._trouble(each.to, told)
            else:
                self._notes.append(f"{told}; the one of higher priority writes")
        for one in self._pending:
            for _, name, rules in one.made():
                self._made.note(one.to.place, name, rules)
            copies = self._planned(one.of, one.found, one.to.place)
            self._copy.add(one.source, one.target, [c for c in copies if one.to.of(c.tag)], one.to.place)
        await self._made.flush()

    def _planned(self, place: Place, found: Findings, to: Place | None = None) -> list[TagCopy]:
        """With their places in the order, and when their bytes may flow. A companion comes with what it is of."""
        return [self._planned_copy(place, found, copy, to) for copy in found.copies.values()]

    def _planned_copy(self, place: Place, found: Findings, copy: TagCopy, to: Place | None) -> TagCopy:
        names = found.by.get(copy.tag, ())
        by = tuple(rule for rule in self._rules if rule.name in names)
        return replace(
            copy,
            rank=self._ranks.get(TagKey(place, copy.tag, to), 0),
            rules=names,
            flow=Flow(self._spending, by) if self._is_paced else None,
            switched=partial(self._switch, _noted_at(place, to), found, copy),
        )

    async def _gone(self, place: Place, target: KeptRepository, named: bool) -> None:
        """A repository that its source does not know: what a rule names in full, and was never here, is missed."""
        try:
            await target.kept.tags.tags(1)
        except NameUnknown:
            if named:
                self._trouble(str(place), "a rule names it, and it does not exist at its source")
            else:
                self._notes.append(f"{place} does not exist at its source")
        else:
            await self._followed.look(place, target, None, (), {})
            self._notes.append(f"{place} does not exist at its source; what is held of it stays")

    def _note_idle_rules(self) -> None:
        """Rules that take nothing, where everything could be asked."""
        for rule in self._rules:
            if rule.name not in self._selecting and rule.registry not in self._unlisted:
                self._notes.append(f"rule {rule.name} selects nothing of {rule.registry}")

    def _count(self, found: Findings) -> None:
        self._meter.repositories += bool(found.wanted)
        self._meter.tags += found.wanted
        self._meter.tags_done += found.held
        coming = {copy.tag for copy in found.copies.values()}
        for tag, by in found.by.items():
            for name in by:
                self._meter.of(name).tags += 1
                self._meter.of(name).held += tag in found.made and tag not in coming

    def _switch(self, place: Place, found: Findings, copy: TagCopy, moved: bool, whole: bool) -> None:
        """Only what is whole, and known to be, is not looked at again for a while."""
        for name in found.by.get(copy.tag, ()):
            self._meter.of(name).held += 1
            self._meter.of(name).switched += moved
        if whole:
            self._receipts.note(place, copy.tag, found.receipts[copy.tag])
        self._switched += moved

    def _trouble(self, what: str, why: str) -> None:
        self._troubles.append(Trouble(what, why))
        self._meter.failed += 1


def _noted_at(place: Place, to: Place | None) -> Place:
    """Where receipts are noted: of what is kept under another name apart, below what no repository is named."""
    if to is None:
        return place
    return Place(place.registry, RepositoryName(f"{to.repository}/_from/{place.repository}"))


async def _listed(source: RegistrySource) -> set[RepositoryName]:
    names = set()
    async for name in source.repositories():
        names.add(name)
        if len(names) > MAX_REPOSITORIES:
            raise SourceLied(f"more than {MAX_REPOSITORIES} repositories are listed")
    return names


def _why(undone: Undone) -> str:
    reason = _reason(undone.failure)
    return reason if undone.because is None else f"needs {undone.because}: {reason}"


def _reason(failure: Exception) -> str:
    if not isinstance(failure, Failure | Refusal):
        return str(failure)
    source = getattr(failure, "source", "")
    return f"{failure.reason} ({source})" if source else failure.reason
