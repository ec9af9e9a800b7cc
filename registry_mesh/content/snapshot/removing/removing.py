"""What a run deletes of what is held: tags that are gone at their source, or that no rule wants any more.

Deciding is `replication.removal`; here is what it needs to know, and that it is done in an order that a crash cannot
spoil: what is about to go is noted, then each tag goes by one record of its own log, from which it can be brought back.
Bytes stay until they are collected.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import groupby
from typing import Final

from registry_mesh.content.snapshot.records.outcome import Stopped
from registry_mesh.content.snapshot.records.remembered_tags import TagMemory
from registry_mesh.content.snapshot.removing.going import Going, plan_digest
from registry_mesh.content.snapshot.removing.removal_targets import RemovalTargets
from registry_mesh.content.snapshot.removing.removed import RemovedTags
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, Tag
from registry_mesh.oci.refusals import ManifestUnknown, NameUnknown
from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.ports.place import Place
from registry_mesh.ports.records import Records
from registry_mesh.ports.repositories import EVERY, KeptTags, Resolved
from registry_mesh.ports.unfollowed import Following, Why
from registry_mesh.replication import sentences
from registry_mesh.replication.decision import Decision
from registry_mesh.replication.pattern import pinned_digest
from registry_mesh.replication.removal import guarded, removal
from registry_mesh.replication.rules import Rules
from registry_mesh.replication.wanted import companions, is_companion
from registry_mesh.tasks.together import ask_each

_AT_ONCE: Final = 100
"""Tags of a repository that go between two looks at what is left of it."""
_NAMED: Final = 5
"""Tags that are named of several."""


class Removing:
    """Gathers over a run what is to go (`look`), then lets it go (`execute`)."""

    def __init__(self, rules: Rules, targets: RemovalTargets, records: Records, now: float) -> None:
        self._rules = rules
        self._targets = targets
        self._removed = RemovedTags(records, now)
        self._now = now
        self._going: dict[tuple[Place, Tag], Going] = {}
        self._stayed: list[Going] = []
        self.troubles: list[tuple[str, str]] = []
        self.stopped: list[Stopped] = []
        """What the guard stopped of it."""
        self.notes: list[str] = []
        self.deleted: dict[Place, set[Tag]] = {}
        self.left: dict[Place, set[Tag]] = {}
        """Tags of which somebody else had decided meanwhile."""

    @property
    def may_delete(self) -> bool:
        """Whether anything says that something is deleted."""
        deletes = [self._rules.vanished, *(rule.delete for rule in self._rules)]
        return bool(self._rules.deny) or any(
            each.gone is not None or each.unselected is not None for each in deletes
        )

    @property
    def going(self) -> list[Going]:
        """What `execute` would let go, if no guard stopped it."""
        return sorted(self._going.values())

    async def look(
        self,
        place: Place,
        target: KeptTags,
        told: Following,
        memory: Mapping[Tag, TagMemory],
        decided: Mapping[Tag, Decision],
    ) -> None:
        """Note what goes of one repository. `told` is what a look at its source told; of a tag that no rule is known to
        have wanted, or of which nothing is remembered, nothing is deleted."""
        self._tell_held(place, told, memory)
        if not self.may_delete:
            return
        for tag, held in (await self._held(target)).items():
            if is_companion(tag):
                continue
            digest = held.descriptor.digest
            denial = self._rules.denying(place.registry, place.repository, tag, digest)
            if denial is not None and pinned_digest(tag) is not None:
                continue  # it is let go by itself
            if denial is not None:
                why = f"it is denied{f': {denial.note}' if denial.note else ''}"
                self.let_go(Going(place, tag, str(digest), why, guarded=False, change=held.change))
            elif tag in told.unfollowed and tag in memory and told.wanted.get(tag):
                self.decide(place, tag, held, told, memory[tag], decided.get(tag))

    def _tell_held(self, place: Place, told: Following, memory: Mapping[Tag, TagMemory]) -> None:
        """Say what stays for a promise of a rule that nobody reads any more."""
        known = {rule.name for rule in self._rules.of(place.registry, place.repository)}
        held = [
            tag
            for tag in sorted(told.unfollowed)
            if tag in memory
            and (memory[tag].held_until or 0) > self._now
            and known.isdisjoint(told.wanted.get(tag, ()))
        ]
        if held:
            named = ", ".join(held[:_NAMED]) + (", …" if len(held) > _NAMED else "")
            several = "1 tag stays" if len(held) == 1 else f"{len(held)} tags stay"
            self.notes.append(f"{place}: {several}, held by a rule that is gone ({named})")

    def let_go(self, going: Going) -> None:
        """It is to go, whoever says so first."""
        self._going.setdefault((going.place, going.tag), going)

    def decide(
        self,
        place: Place,
        tag: Tag,
        held: Resolved,
        told: Following,
        memory: TagMemory,
        decision: Decision | None,
    ) -> None:
        """Note a held tag, which is not followed, where its time has come."""
        away = told.unfollowed[tag]
        gone = away.since if away.why is Why.GONE else None
        unselected = away.since if away.why is Why.UNSELECTED else None
        here = memory.here if memory.here is not None else memory.since
        by = told.wanted[tag]
        found = removal(self._rules, by, gone, unselected, here, memory.held_until, self._now)
        if found is None:
            return
        past = f"{decision.because}; " if decision is not None else ""
        if found.due:
            because, digest = past + found.because, str(held.descriptor.digest)
            self.let_go(Going(place, tag, digest, because, change=held.change))
        elif found.until is not None:
            when = sentences.when(found.until)
            self.notes.append(f"{place}:{tag} is deleted {when}: {past}{found.because}")

    async def _held(self, target: KeptTags) -> dict[Tag, Resolved]:
        """What each tag stands for; without those that went between the list and the look at them."""
        try:
            tags = (await target.kept.tags.tags(EVERY)).tags
        except NameUnknown:
            return {}
        found = await ask_each(partial(_resolved, target), tags)
        return {tag: each for tag, each in zip(tags, found, strict=True) if each is not None}

    async def execute(self) -> None:
        """Let go what is to go, but for registries of which too much would."""
        going = self.going
        if not going:
            return
        await self._removed.read()
        stopped = await self._stopped([each for each in going if each.guarded])
        going = [each for each in going if not each.guarded or each.place.registry not in stopped]
        await self._removed.note(going)
        for place, grouped in groupby(going, key=lambda each: each.place):
            several = list(grouped)
            for start in range(0, len(several), _AT_ONCE):
                await self._untag(place, several[start : start + _AT_ONCE])
        await self._removed.withdraw(self._stayed)

    async def _stopped(self, going: list[Going]) -> set[RegistryName]:
        deletes = Counter(str(each.place.registry) for each in going)
        tags = {each: await self._targets.count(RegistryName(each)) for each in deletes}
        found = guarded(tags, deletes, self._removed.lately, self._rules.guard)
        stopped = {RegistryName(each.registry) for each in found if each.stopped}
        if not stopped:
            return stopped
        digest = plan_digest(each for each in going if each.place.registry in stopped)
        if await self._removed.is_approved(digest):
            return set()
        await self._removed.wait(digest)
        for too_many in filter(lambda one: one.stopped, found):
            why = sentences.guarded(
                too_many.deletes, too_many.tags, too_many.registry, too_many.guard, digest
            )
            self.troubles.append((too_many.registry, why))
            self.stopped.append(
                Stopped(too_many.registry, too_many.deletes, too_many.tags, too_many.guard, digest)
            )
        return stopped

    async def _untag(self, place: Place, several: Iterable[Going]) -> None:
        """The tags, then the companions by tag of what no other tag stands for."""
        several = list(several)
        target = self._targets.at(place, [each.tag for each in several])
        gone: dict[Digest, Tag] = {}
        for each in several:
            digest = Digest.parse(each.digest)
            try:
                done = await target.untag(each.tag, digest, each.because, each.change)
            except SourceUnavailable as fault:
                self._stayed.append(each)
                self.troubles.append((str(each), f"{fault.reason}; it is due: {each.because}"))
                continue
            if done:
                gone[digest] = each.tag
                self.deleted.setdefault(place, set()).add(each.tag)
                self.notes.append(
                    f"{each} was deleted: {each.because}; it was {each.digest}, `rules undo` brings it back"
                )
            else:
                self._stayed.append(each)
                self.left.setdefault(place, set()).add(each.tag)
                self.notes.append(
                    f"{each} was deleted, or brought back, by somebody else meanwhile: left as it is"
                )
        if gone:
            try:
                await self._untag_companions(place, target, gone)
            except SourceUnavailable as fault:
                self.troubles.append(
                    (str(place), f"companions of deleted tags are still there: {fault.reason}")
                )

    async def _untag_companions(self, place: Place, target: KeptTags, gone: Mapping[Digest, Tag]) -> None:
        held = {tag: each.descriptor.digest for tag, each in (await self._held(target)).items()}
        standing, companions_of = set(held.values()), companions(held)
        going = [
            Going(place, other, str(held[other]), f"companion of {tag}", companion_of=f"{place}:{tag}")
            for digest, tag in gone.items()
            for other in (companions_of.get(digest, ()) if digest not in standing else ())
        ]
        await self._removed.note(going)
        for each in going:
            await target.untag(each.tag, held[each.tag], each.because)


async def _resolved(target: KeptTags, tag: Tag) -> Resolved | None:
    try:
        return await target.kept.tags.resolve(tag)
    except (NameUnknown, ManifestUnknown):
        return None
