"""What is taken of one repository becomes what is copied: tags, and the companions by tag of what they stand for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from registry_mesh.content.snapshot.copying.copy_keys import TagCopy
from registry_mesh.content.snapshot.finding.graph import Graph
from registry_mesh.content.snapshot.found import Findings
from registry_mesh.content.snapshot.records.receipts import Receipt
from registry_mesh.content.snapshot.tag_looks import TagLooks
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import Refusal
from registry_mesh.ports.failures import Failure
from registry_mesh.replication.companions import ALL, NONE, Companions
from registry_mesh.replication.decision import Decision, Verdict
from registry_mesh.replication.rules import Platforms
from registry_mesh.replication.tag_facts import TagFacts
from registry_mesh.replication.terms import Data
from registry_mesh.replication.wanted import companions, is_companion


@dataclass(slots=True)
class Taking:
    """Writes into `findings` what is wanted, held, made and copied at `now` (seconds since the epoch)."""

    tags: TagLooks
    findings: Findings
    now: float
    _companions: Mapping[Digest, tuple[Tag, ...]] = field(default_factory=dict)

    async def take(
        self,
        decided: Mapping[Tag, Decision],
        complete: Mapping[Tag, Descriptor],
        looked: Mapping[Tag, Graph],
        facts: Mapping[Tag, TagFacts],
    ) -> None:
        """Tags with what they stand for, then the companions by tag of all that, and of these. `complete`: what is held
        as it is wanted."""
        self._companions = companions(self.tags.listed)
        level: dict[Tag, Companions] = {}
        for tag, decision in decided.items():
            if decision.verdict is Verdict.TAKE:
                self._note(decision)
                if tag in complete:
                    self._hold(tag, complete[tag])
                    self._further(level, (complete[tag].digest,), decision.companions)
                elif tag in looked:
                    self._bring(decision, looked[tag], facts[tag])
                    self._further(level, looked[tag].nodes, decision.companions)
        await self._follow(level, set(decided))
        self._order()

    def _note(self, decision: Decision) -> None:
        found, tag = self.findings, decision.tag
        found.by[tag] = tuple(rule.name for rule in decision.rules)
        found.remembered[tag] = found.remembered[tag].taken(decision.rules, self.now)

    def _hold(self, tag: Tag, root: Descriptor) -> None:
        self.findings.wanted += 1
        self.findings.held += 1
        self.findings.made[tag] = root.digest

    def _bring(self, decision: Decision, graph: Graph, facts: TagFacts) -> None:
        self.findings.wanted += 1
        self.findings.made[decision.tag] = graph.root.digest
        self._copy(decision.tag, graph, decision.platforms, decision.data)
        receipt = self.findings.receipts[decision.tag]
        self.findings.receipts[decision.tag] = replace(receipt, images=facts.images)

    async def _follow(self, level: Mapping[Tag, Companions], seen: set[Tag]) -> None:
        """The companions `level`, and theirs, each once."""
        while level:
            seen |= level.keys()
            tags = tuple(level)
            below = await asyncio.gather(*map(self._companion, tags))
            following: dict[Tag, Companions] = {}
            for tag, digests in zip(tags, below, strict=True):
                self._further(following, digests, level[tag])
            level = {tag: kinds for tag, kinds in following.items() if tag not in seen}

    def _further(self, level: dict[Tag, Companions], digests: Iterable[Digest], kinds: Companions) -> None:
        for digest in digests:
            for tag in self._companions.get(digest, ()):
                if kinds.takes_tag(tag):
                    level[tag] = level.get(tag, NONE) | kinds

    async def _companion(self, tag: Tag) -> Iterable[Digest]:
        """Take a companion tag; gives what it stands for."""
        self.findings.wanted += 1
        try:
            root = await self.tags.resolve(tag)
            if root is None:
                self.findings.wanted -= 1
                self.findings.notes.append((tag, "was deleted since it was listed; what is held of it stays"))
                return ()
            if await self.tags.is_held(tag, Receipt.of(root, None, self.now)):
                self.findings.held += 1
                return (root.digest,)
            graph = await self.tags.explore(root, None, ALL)
        except (Failure, Refusal) as fault:
            self.findings.faults[tag] = fault
            return ()
        self._copy(tag, graph, None)
        return graph.nodes

    def _copy(self, tag: Tag, graph: Graph, platforms: Platforms, data: Data = Data.FULL) -> None:
        found = self.findings
        found.lost.update(graph.lost)
        found.notes += [(tag, note) for note in graph.notes]
        receipt = Receipt.of(graph.root, platforms, self.now, data)
        found.receipts[tag] = replace(receipt, size=graph.size)
        wanted = graph if data is Data.FULL else graph.without_blobs()
        found.copies[tag] = TagCopy(tag, wanted, platforms, data)

    def _order(self) -> None:
        """A tag is switched after its companions, so that a reader of it can check its signature."""
        copies = self.findings.copies
        for tag, copy in copies.items():
            if not is_companion(tag):
                after = {t for digest in copy.graph.nodes for t in self._companions.get(digest, ())}
                copies[tag] = replace(copy, after=frozenset(after & copies.keys()))
