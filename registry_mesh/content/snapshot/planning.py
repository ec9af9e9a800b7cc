"""What is found becomes what is copied: in which order, under whose budget, and what is noted when a tag stands."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from functools import partial

from registry_mesh.content.snapshot.copying.copy_graph import GraphCopy
from registry_mesh.content.snapshot.copying.copy_keys import TagCopy, TagKey
from registry_mesh.content.snapshot.copying.flow import Flow
from registry_mesh.content.snapshot.copying.progress import Meter
from registry_mesh.content.snapshot.found import Findings
from registry_mesh.content.snapshot.pending import Pending, drop, writers
from registry_mesh.content.snapshot.records.run_records import RunRecords, noted_at
from registry_mesh.content.snapshot.renaming import contested
from registry_mesh.content.snapshot.told import Told
from registry_mesh.ports.place import Place
from registry_mesh.ports.repositories import KeptRepository, Repository
from registry_mesh.replication import sentences
from registry_mesh.replication.rules import Rules


class Planning:
    """Plans the copies of one run; `is_paced`: whether the bytes of some rule may have to wait."""

    def __init__(
        self, rules: Rules, copy: GraphCopy, records: RunRecords, meter: Meter, told: Told, is_paced: bool
    ) -> None:
        self._rules = rules
        self._copy = copy
        self._records = records
        self._meter = meter
        self._told = told
        self._is_paced = is_paced
        order = sorted(rules, key=lambda rule: -rule.priority.rank)
        self._rank_of = {rule.name: rank for rank, rule in enumerate(order)}
        self._rule_of = {rule.name: rule for rule in rules}
        self._ranks: dict[TagKey, int] = {}
        self._by: dict[Hashable, tuple[str, ...]] = {}
        self._pending: list[Pending] = []
        self.switched = 0
        """Tags that point elsewhere than before the run."""

    def rank(self, place: Place, found: Findings, to: Place | None = None) -> None:
        """Note the place in the order of each tag that was found."""
        for tag, by in found.by.items():
            self._by[TagKey(place, tag, to)] = by
            self._ranks[TagKey(place, tag, to)] = min(self._rank_of[name] for name in by)

    def rules_of(self, key: Hashable) -> tuple[str, ...]:
        """The names of the rules that take a tag; none of what is no tag, or is a companion."""
        return self._by.get(key, ())

    def order(self, key: TagKey) -> tuple[int, str]:
        """The first rule that takes a tag comes first; signatures come with their images."""
        return self._ranks.get(key, len(self._rules)), str(key)

    def add(self, source: Repository, target: KeptRepository, place: Place, found: Findings) -> None:
        """Copy what was found of a repository."""
        self._copy.add(source, target, self._planned(place, found))

    def postpone(self, pending: Pending) -> None:
        """Copy it under its other names, once it is known whether several would write them."""
        self._pending.append(pending)

    async def take_in_pending(self, now: float) -> None:
        """Take into the copy what is kept under other names, but for what several would write. `StoreFull`,
        `StoreBroken`."""
        for each in contested(writers(self._pending)):
            drop(self._pending, each)
            told = sentences.conflict(each.to, each.writers)
            if each.stopped:
                self._told.trouble(each.to, told)
            else:
                self._told.notes.append(f"{told}; the one of higher priority writes")
        for one in self._pending:
            for name, made in one.made(now):
                self._records.made.note(one.to.place, name, made)
            copies = self._planned(one.of, one.found, one.to.place)
            names = {copy.tag for copy in copies if one.to.of(copy.tag)}
            written = [replace(c, after=c.after & names) for c in copies if c.tag in names]
            self._copy.add(one.source, one.target, written, one.to.place, one.target.outward)
        await self._records.made.flush()

    def _planned(self, place: Place, found: Findings, to: Place | None = None) -> list[TagCopy]:
        """With their places in the order, and when their bytes may flow. A companion comes with what it is of."""
        return [self._planned_copy(place, found, copy, to) for copy in found.copies.values()]

    def _planned_copy(self, place: Place, found: Findings, copy: TagCopy, to: Place | None) -> TagCopy:
        names = found.by.get(copy.tag, ())
        by = tuple(self._rule_of[name] for name in names)
        return replace(
            copy,
            rank=self._ranks.get(TagKey(place, copy.tag, to), 0),
            rules=names,
            flow=Flow(self._records.spending, by) if self._is_paced else None,
            switched=partial(self._switch, noted_at(place, to), found, copy),
        )

    def _switch(self, place: Place, found: Findings, copy: TagCopy, moved: bool, whole: bool) -> None:
        """Only what is whole, and known to be, is not looked at again for a while."""
        for name in found.by.get(copy.tag, ()):
            self._meter.of(name).held += 1
            self._meter.of(name).switched += moved
        if whole:
            self._records.receipts.note(place, copy.tag, found.receipts[copy.tag])
        self.switched += moved
