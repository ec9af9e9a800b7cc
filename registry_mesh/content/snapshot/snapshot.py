"""A snapshot: a replica brings itself to what its rules want of its sources, as those are now.

List the tags of every repository that a rule takes; ask what each wanted tag points at; look into those that
changed; then copy what is not held and switch each tag when everything it stands for is here. What is held serves
all the while. A tag that vanished at its source, or left the rules, is told as not followed, and deleted when the rules
say so (`content.snapshot.removing.removing`).

What was found complete is noted per repository (`content.snapshot.records.receipts`), so that a run where nothing
changed costs one listing a repository and one HEAD a tag. Killed at any moment, a run leaves the old tags and what it
brought; the next one goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

from registry_mesh.content.snapshot.copying.copy_graph import GraphCopy
from registry_mesh.content.snapshot.copying.flow import Grant, OutsideWindow
from registry_mesh.content.snapshot.copying.progress import Meter, Phase
from registry_mesh.content.snapshot.finding.asking import Asking
from registry_mesh.content.snapshot.finding.jobs import Undone
from registry_mesh.content.snapshot.planning import Planning
from registry_mesh.content.snapshot.records.outcome import Outcome
from registry_mesh.content.snapshot.records.run_records import RunRecords
from registry_mesh.content.snapshot.settings import Ours, SnapshotPolicy
from registry_mesh.content.snapshot.surveying import Surveying
from registry_mesh.content.snapshot.told import Told
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.oci.refusals import NameUnknown
from registry_mesh.ports.place import Outward, Place
from registry_mesh.ports.repositories import RegistrySource
from registry_mesh.ports.unfollowed import forget
from registry_mesh.ports.urgency import unhurried
from registry_mesh.replication.rules import Rule, Rules
from registry_mesh.replication.schedule import Manual, due
from registry_mesh.replication.wanted import Listing, listings
from registry_mesh.tasks.together import bounded

_NAMED: Final = 5
"""Tags that are named of those that do not fit."""


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
        self._told = Told(meter)
        self._due: frozenset[str] = frozenset()
        grant = Grant(policy.rate, policy.ticks, policy.sleep)
        self._records = RunRecords(ours.records, rules, grant, clock)
        asking = Asking(policy.asks, again=policy.again)
        self._copy = GraphCopy(ours.blobs, ours.bring, meter, asking, policy.widths, policy.again)
        is_paced = bool(policy.rate) or any(rule.when or rule.budget for rule in rules)
        self._planning = Planning(rules, self._copy, self._records, meter, self._told, is_paced)
        self._surveying = Surveying(
            rules,
            sources,
            ours,
            self._records,
            asking,
            self._planning,
            self._told,
            clock,
            policy.referrers_every,
        )

    async def run(self) -> Outcome:
        """What a source or an object does wrong is in the outcome's `troubles`; a store that fails as a whole
        is raised. All that it asks is background work."""
        with unhurried():
            return await self._run()

    async def _run(self) -> Outcome:
        began = self._clock()
        await self._records.load()
        await self._look(await self._due_rules(began))
        await self._copy.prune()
        await self._fit()
        self._meter.phase = Phase.COPYING
        asked: frozenset[str] = frozenset()
        try:
            undone = await self._copy.run()
            asked = self._asked(undone)
        finally:
            await self._records.flush(dict.fromkeys(asked, began))
        if self._policy.only is None:
            await self._follow()
        self._meter.phase = Phase.DONE
        self._told.undone(undone)
        return self._outcome()

    async def _due_rules(self, now: float) -> Rules:
        """Those whose sources are asked now."""
        asked = await self._records.remembered.asked() if any(rule.every for rule in self._rules) else {}

        def is_due(rule: Rule) -> bool:
            every = rule.every
            if self._policy.only is not None:
                return not isinstance(every, Manual)
            return every is None or self._policy.by_hand or due(every, asked.get(rule.name), now)

        rules = tuple(rule for rule in self._rules if is_due(rule))
        asks_all = self._policy.only is None
        self._due = frozenset(rule.name for rule in rules if rule.every is not None and asks_all)
        self._told.selecting |= {rule.name for rule in self._rules} - {rule.name for rule in rules}
        return replace(self._rules, rules=rules)

    def _asked(self, undone: Iterable[Undone]) -> frozenset[str]:
        """The rules that are due again by what they say; the others are before it: those of which the source told
        nothing, and those whose bytes wait for a window or a budget."""
        waiting = {
            name
            for each in undone
            if isinstance(each.failure, OutsideWindow)
            for name in self._planning.rules_of(each.key)
        }
        untold = {rule.name for rule in self._rules if rule.registry in self._told.unlisted}
        return self._due - waiting - (untold - self._told.heard)

    async def _look(self, due: Rules) -> None:
        """Look at every repository that a due rule takes, and plan its copies."""
        for listing in self._listings(due):
            places = await self._surveying.places(listing, due)
            looks = (partial(self._surveying.look, place, listing.exact) for place in places)
            await bounded(self._policy.repositories, looks)
        if self._policy.only is None:
            self._told.idle(self._rules)
        await self._planning.take_in_pending(self._clock())

    def _listings(self, due: Rules) -> Iterable[Listing]:
        only = self._policy.only
        if only is None:
            return listings(due)
        told = {
            registry: {p.repository for p in only if p.registry == registry} for registry in due.registries
        }
        return [Listing(registry, frozenset(names), frozenset(), False) for registry, names in told.items()]

    async def _follow(self) -> None:
        """Look at repositories that are held and that no rule takes any more; then delete what is due."""
        for registry in self._sources:
            if registry in self._told.unlisted:
                continue
            async for name in self._ours.repositories.repositories(registry):
                if not self._rules.of(registry, name):
                    with suppress(NameUnknown):
                        await self._surveying.unselected(Place(registry, name))
        await self._let_go()
        removing, remembered = self._surveying.removing, self._records.remembered
        await self._surveying.made.look(removing)
        try:
            await removing.execute()
        finally:
            for place, tags in removing.deleted.items():
                if not isinstance(place, Outward):
                    await forget(self._ours.records, place, tags)
                    await remembered.let_go(place, tags)
            await remembered.flush({})
            await self._surveying.made.forget(removing)
        self._told.notes += removing.notes
        for what, why in removing.troubles:
            self._told.trouble(what, why)

    async def _let_go(self) -> None:
        """Hold nothing without a tag that is denied."""
        for registry in self._sources if self._rules.deny else ():

            def denied(name: RepositoryName, digest: Digest, of: RegistryName = registry) -> bool:
                return self._rules.denying(of, name, f"@{digest}", digest) is not None

            for name, digest in await self._ours.repositories.let_go(registry, denied):
                self._told.notes.append(f"{registry}/{name}@{digest} is held no longer: it is denied")

    async def _fit(self) -> None:
        """Leave out what there is no room for: whole images come, in the order of the rules."""
        if self._ours.room is None:
            return
        left_out, lacking = self._copy.fit(await self._ours.room.room(), self._planning.order)
        if left_out:
            await self._ours.room.drop_parts(self._copy.coming)
            named = ", ".join(map(str, left_out[:_NAMED])) + (", …" if len(left_out) > _NAMED else "")
            self._told.trouble(
                "the store",
                f"no room for {len(left_out)} of {self._meter.tags} wanted tags, {lacking / 2**20:.1f} MiB are "
                f"missing: give a larger quota or disk, or want less ({named})",
            )

    def _outcome(self) -> Outcome:
        meter = self._meter
        return Outcome(
            meter.repositories,
            meter.tags,
            meter.tags_done,
            self._planning.switched,
            meter.size_done,
            tuple(sorted(self._told.troubles)),
            tuple(sorted(self._told.notes)),
            sum(map(len, self._surveying.removing.deleted.values())),
            tuple(self._told.idlers),
            tuple(self._surveying.removing.stopped),
        )
