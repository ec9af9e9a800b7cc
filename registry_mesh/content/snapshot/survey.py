"""A look at one repository of a source: which wanted tags changed, and what they stand for now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from registry_mesh.content.snapshot.finding.asking import Asking
from registry_mesh.content.snapshot.finding.explorer import Explorer
from registry_mesh.content.snapshot.finding.graph import Graph, RootUnknown
from registry_mesh.content.snapshot.finding.signatures import Signatures
from registry_mesh.content.snapshot.found import Findings
from registry_mesh.content.snapshot.image_looks import ImageLooks
from registry_mesh.content.snapshot.records.receipts import Receipt
from registry_mesh.content.snapshot.records.released import Release
from registry_mesh.content.snapshot.records.remembered_tags import TagMemory
from registry_mesh.content.snapshot.tag_facts import FactFinder
from registry_mesh.content.snapshot.tag_looks import TagLooks, list_tags
from registry_mesh.content.snapshot.taking import Taking
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import NameUnknown, Refusal
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.place import Place
from registry_mesh.ports.repositories import KeptRepository, Repository, TagPage
from registry_mesh.replication.counting import counts_by_kind, needs_more_than_names
from registry_mesh.replication.decision import Decision, Verdict, decide
from registry_mesh.replication.decision import Place as DecidedPlace
from registry_mesh.replication.rules import Rule, Rules
from registry_mesh.replication.tag_facts import TagFacts
from registry_mesh.replication.wanted import selecting

T = TypeVar("T")
_FOLLOWED: Final = frozenset({Verdict.TAKE, Verdict.WAIT, Verdict.REFUSE})
"""What a rule selects, though it may keep its former value for a while."""


class Survey:
    """Asks the source at most one listing, one HEAD a tag, and for changed tags what `Explorer` asks."""

    def __init__(
        self,
        source: Repository,
        target: KeptRepository,
        receipts: Mapping[Tag, Receipt],
        remembered: Mapping[Tag, TagMemory],
        explorer: Explorer,
        asking: Asking,
        now: float,
        referrers_every: float,
        signatures: Signatures,
        released: Mapping[tuple[Tag, str], Release],
        is_ours: Callable[[Tag], object] = bool,
    ) -> None:
        """`is_ours`: which tags are looked at; all, where nothing has another name."""
        self._is_ours = is_ours
        self._facts = FactFinder(source, target, remembered, signatures, now, released)
        self._source = source
        self._now = now
        self._tags = TagLooks(source, target, receipts, explorer, asking, now, referrers_every)
        self._complete: dict[Tag, Descriptor] = {}
        self._taken: Mapping[Tag, Sequence[Rule]] = {}
        self.findings = Findings()
        self.misled = False
        """Whether no tag stands for anything that its source has, of those that were looked into: HEAD is of no use
        there, which the source's client has learnt by now."""

    @property
    def place(self) -> Place:
        """Where the survey looks."""
        return Place(self._source.registry, self._source.name)

    async def run(self, rules: Rules, of: Iterable[Rule], page: TagPage | None = None) -> Findings:
        """`NameUnknown` where the source has no such repository; what else is wrong is in the findings. `of` are those
        of `rules` that take something of it; `page` its list of tags, where it was asked for already."""
        found, of = self.findings, tuple(of)
        try:
            page = page or await list_tags(self._source, self._tags.asking)
        except NameUnknown:
            raise
        except (Failure, Refusal) as fault:
            found.faults[""] = fault
            return found
        taken, dropped = self._begin(page, rules, of)
        counts = needs_more_than_names(rules, of)
        self._taken = taken = taken if counts else self._of_ours(taken)
        roots = await self._roots(taken)
        facts = await self._facts.of(page.tags, roots, taken)
        found.remembered = self._facts.remembered
        found.waiting += self._facts.notes
        known = self._decide_all(rules, of, facts)
        facts |= (kinds := await self._kinds(known, facts, roots))
        first = self._decide(rules, of, facts) if kinds else self._of_ours(known)
        if any(rule.verify for rule in of):
            facts |= await self._facts.signed(facts, {tag: taken[tag] for tag in _takes(first, roots)})
            self._fail(self._facts.faults)
            first = self._decide(rules, of, facts)
        first = {tag: decision for tag, decision in first.items() if tag not in found.faults}
        takes = _takes(first, roots)
        looked = await self._look(roots, takes)
        unknown = [fault for fault in found.faults.values() if isinstance(fault, RootUnknown)]
        self.misled = bool(unknown) and not looked and not self._complete
        facts |= {tag: replace(facts[tag], size=graph.size) for tag, graph in looked.items()}
        receipts = self._tags.receipts
        facts |= {tag: replace(facts[tag], size=receipts[tag].size) for tag in self._complete}
        decided = {tag: d for tag, d in self._decide(rules, of, facts).items() if tag in roots}
        looked = await self._look_again(roots, takes, decided, looked)
        found.past = {tag: d for tag, d in first.items() if d.verdict is Verdict.PAST} | dropped
        self._tell(decided)
        await Taking(self._tags, found, self._now).take(decided, self._complete, looked, facts)
        unsure = {tag for tag in taken if tag not in decided and tag in found.faults}
        self._end(decided, unsure)
        return found

    async def _kinds(
        self, known: Mapping[Tag, Decision], facts: Mapping[Tag, TagFacts], roots: Mapping[Tag, Descriptor]
    ) -> dict[Tag, TagFacts]:
        """Of which type tags are, and which labels they have, where a rule asks: what such a rule guards, and does not
        take, it does not guard; nor does it count among the newest that the rule keeps."""
        asked = {t: d for t, d in known.items() if t in roots and self._is_asked(t, d)}
        looks = ImageLooks(self._tags)
        found = await looks.of(asked, roots, self._taken)
        self._fail(looks.faults)
        return {tag: replace(facts[tag], images=images) for tag, images in found.items()}

    def _is_asked(self, tag: Tag, decision: Decision) -> bool:
        by = self._taken.get(tag, ())
        if any(map(counts_by_kind, by)):
            return decision.verdict is not Verdict.DENY
        is_followed = decision.verdict in _FOLLOWED and bool(self._is_ours(tag))
        return is_followed and any(rule.types or rule.labels for rule in by)

    def _begin(
        self, page: TagPage, rules: Rules, of: Sequence[Rule]
    ) -> tuple[Mapping[Tag, Sequence[Rule]], dict[Tag, Decision]]:
        """The tags that rules select, with these; and those of them that names alone tell to be past."""
        found = self.findings
        found.note = page.note and f"its list of tags {page.note}"
        found.whole = not page.note
        self._tags.listed = found.listed = frozenset(page.tags)
        taken = selecting(of, page.tags)
        found.selecting = {rule.name for by in taken.values() for rule in by}
        if not any(each.keep for each in of) or needs_more_than_names(rules, of):
            return taken, {}
        known = self._decide(rules, of, dict.fromkeys(page.tags, TagFacts()))
        dropped = {tag: d for tag, d in known.items() if d.verdict is Verdict.PAST}
        return {tag: by for tag, by in taken.items() if tag not in dropped}, dropped

    def _decide(
        self, rules: Rules, of: Sequence[Rule], facts: Mapping[Tag, TagFacts]
    ) -> Mapping[Tag, Decision]:
        return self._of_ours(self._decide_all(rules, of, facts))

    def _decide_all(
        self, rules: Rules, of: Sequence[Rule], facts: Mapping[Tag, TagFacts]
    ) -> Mapping[Tag, Decision]:
        """Those that only count for what is kept, too."""
        place = DecidedPlace(self.place.registry, self.place.repository)
        return decide(place, rules, of, facts, self._now)

    def _of_ours(self, tags: Mapping[Tag, T]) -> Mapping[Tag, T]:
        """Those that are looked at, of all that count for what is kept."""
        return {tag: each for tag, each in tags.items() if self._is_ours(tag)}

    async def _roots(self, tags: Iterable[Tag]) -> dict[Tag, Descriptor]:
        """What each tag points at; without those that cannot be told, or are gone since they were listed."""
        tags = tuple(tags)
        found = await asyncio.gather(*map(self._root, tags))
        return {tag: root for tag, root in zip(tags, found, strict=True) if root is not None}

    async def _root(self, tag: Tag) -> Descriptor | None:
        try:
            root = await self._tags.resolve(tag)
        except (Failure, Refusal) as fault:
            self.findings.wanted += 1
            self.findings.faults[tag] = fault
            return None
        if root is None:
            self.findings.notes.append((tag, "was deleted since it was listed; what is held of it stays"))
        return root

    def _fail(self, faults: Mapping[str, Exception]) -> None:
        fresh = {tag: fault for tag, fault in faults.items() if tag not in self.findings.faults}
        self.findings.wanted += len(fresh)
        self.findings.faults |= fresh

    async def _look(self, roots: Mapping[Tag, Descriptor], takes: Mapping[Tag, Decision]) -> dict[Tag, Graph]:
        """The graphs of those tags that are not held as they are wanted."""
        tags = tuple(takes)
        graphs = await asyncio.gather(*(self._graph(tag, roots[tag], takes[tag]) for tag in tags))
        return {tag: graph for tag, graph in zip(tags, graphs, strict=True) if graph is not None}

    async def _look_again(
        self,
        roots: Mapping[Tag, Descriptor],
        before: Mapping[Tag, Decision],
        decided: Mapping[Tag, Decision],
        looked: Mapping[Tag, Graph],
    ) -> dict[Tag, Graph]:
        """`looked`, with another look at those that fewer rules take than it seemed before they were looked into."""
        fewer = {
            tag: decided[tag]
            for tag in looked
            if tag in decided
            and (decided[tag].platforms, decided[tag].companions, decided[tag].data)
            != (before[tag].platforms, before[tag].companions, before[tag].data)
        }
        again = await self._look(roots, fewer)
        return {tag: graph for tag, graph in looked.items() if tag not in fewer} | again

    async def _graph(self, tag: Tag, root: Descriptor, decision: Decision) -> Graph | None:
        receipt = Receipt.of(root, decision.platforms, self._now, decision.data)
        try:
            if await self._tags.is_held(tag, receipt, self._taken[tag]):
                self._complete[tag] = root
                return None
            return await self._tags.explore(root, decision.platforms, decision.companions)
        except (Failure, Refusal) as fault:
            self.findings.wanted += 1
            self.findings.faults[tag] = fault
            return None

    def _tell(self, decided: Mapping[Tag, Decision]) -> None:
        """What is not taken, and why."""
        for tag, decision in decided.items():
            match decision.verdict:
                case Verdict.REFUSE:
                    self.findings.refused[tag] = decision.because
                case Verdict.WAIT | Verdict.DENY:
                    self.findings.waiting.append(decision.because)

    def _end(self, decided: Mapping[Tag, Decision], unsure: Collection[Tag]) -> None:
        """Say which tags were seen."""
        kept = {tag for tag, d in decided.items() if d.verdict in _FOLLOWED}
        self.findings.seen = frozenset({*kept, *unsure, *self.findings.copies, *self._complete})


def _takes(decided: Mapping[Tag, Decision], roots: Mapping[Tag, Descriptor]) -> dict[Tag, Decision]:
    return {
        tag: decision
        for tag, decision in decided.items()
        if decision.verdict is Verdict.TAKE and tag in roots
    }
