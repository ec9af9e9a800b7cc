"""A look at one repository of a source: which wanted tags changed, and what they stand for now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from registry_mesh.content.snapshot.asking import Asking
from registry_mesh.content.snapshot.copy_graph import TagCopy
from registry_mesh.content.snapshot.explorer import Explorer
from registry_mesh.content.snapshot.graph import Graph
from registry_mesh.content.snapshot.receipts import Receipt
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import ManifestUnknown, NameUnknown, Refusal
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.place import Place
from registry_mesh.ports.repositories import EVERY, KeptRepository, Repository, TagPage
from registry_mesh.replication.rules import Platforms, Rule, union
from registry_mesh.replication.wanted import companions, is_companion, selecting


@dataclass(slots=True)
class Findings:
    """What a survey found."""

    wanted: int = 0
    """Tags that should be here, companions included."""
    held: int = 0
    """Of those, complete already."""
    copies: dict[Tag, TagCopy] = field(default_factory=dict)
    receipts: dict[Tag, Receipt] = field(default_factory=dict)
    """To be noted when the copy of a tag is done."""
    faults: dict[str, Exception] = field(default_factory=dict)
    """By tag; the empty name for the repository itself."""
    note: str = ""
    """What is to be known of it that is no fault."""
    lost: dict[Digest, Exception] = field(default_factory=dict)
    """What is listed beside wanted tags, and not to be had."""
    notes: list[tuple[Tag, str]] = field(default_factory=list)
    """What is odd of a tag, and stops nothing."""
    selecting: set[str] = field(default_factory=set)
    """The names of the rules that take some tag."""
    by: dict[Tag, tuple[str, ...]] = field(default_factory=dict)
    """The names of the rules that take each tag; a companion is taken by none."""


class Survey:
    """Asks the source at most one listing, one HEAD a tag, and for changed tags what `Explorer` asks."""

    def __init__(
        self,
        source: Repository,
        target: KeptRepository,
        receipts: Mapping[Tag, Receipt],
        explorer: Explorer,
        asking: Asking,
        now: float,
        referrers_every: float,
    ) -> None:
        self._source = source
        self._target = target
        self._receipts = receipts
        self._explorer = explorer
        self._asking = asking
        self._now = now
        self._referrers_every = referrers_every
        self._graphs: dict[tuple[Digest, Platforms], asyncio.Task[Graph]] = {}
        self._companions: Mapping[Digest, tuple[Tag, ...]] = {}
        self._listed: frozenset[Tag] = frozenset()
        self.findings = Findings()

    @property
    def place(self) -> Place:
        return Place(self._source.registry, self._source.name)

    async def run(self, rules: Iterable[Rule]) -> Findings:
        """`NameUnknown` where the source has no such repository; what else is wrong is in the findings."""
        found = self.findings
        try:
            page = await list_tags(self._source, self._asking)
        except NameUnknown:
            raise
        except (Failure, Refusal) as fault:
            found.faults[""] = fault
            return found
        found.note = page.note and f"its list of tags {page.note}"
        self._companions = companions(page.tags)
        self._listed = frozenset(page.tags)
        taken = selecting(rules, page.tags)
        found.by = {tag: tuple(rule.name for rule in by) for tag, by in taken.items()}
        found.selecting = {rule.name for by in taken.values() for rule in by}
        level = {tag: union(rule.platforms for rule in by) for tag, by in taken.items()}
        seen: set[Tag] = set()
        while level:
            seen |= level.keys()
            further = await asyncio.gather(*(self._tag(tag, wanted) for tag, wanted in level.items()))
            level = {tag: None for tags in further for tag in tags if tag not in seen}
        self._order()
        return found

    async def _tag(self, tag: Tag, platforms: Platforms) -> Sequence[Tag]:
        """Look at one tag; gives the companion tags of what it stands for."""
        self.findings.wanted += 1
        try:
            root = await self._resolve(tag)
            if root is None:
                self.findings.wanted -= 1
                self.findings.notes.append((tag, "was deleted since it was listed; what is held of it stays"))
                return ()
            receipt = Receipt.of(root, platforms, self._now)
            if await self._is_held(tag, receipt):
                self.findings.held += 1
                return self._companions.get(root.digest, ())
            graph = await self._explore(root, platforms)
        except (Failure, Refusal) as fault:
            self.findings.faults[tag] = fault
            return ()
        self.findings.lost.update(graph.lost)
        self.findings.notes += [(tag, note) for note in graph.notes]
        self.findings.receipts[tag] = receipt
        self.findings.copies[tag] = TagCopy(tag, graph, platforms)
        return [other for digest in graph.nodes for other in self._companions.get(digest, ())]

    async def _resolve(self, tag: Tag) -> Descriptor | None:
        """What the tag points at; None where its source says of the tag itself that there is none."""
        try:
            asked = await self._asking.ask(self._source.registry, lambda: self._source.tags.resolve(tag))
        except ManifestUnknown:
            return None
        return asked.descriptor

    async def _is_held(self, tag: Tag, receipt: Receipt) -> bool:
        noted = self._receipts.get(tag)
        if noted != receipt or not 0 <= self._now - noted.at < self._referrers_every:
            return False
        try:
            held = await self._target.kept.tags.resolve(tag)
        except (ManifestUnknown, NameUnknown):
            return False
        return str(held.descriptor.digest) == receipt.digest

    async def _explore(self, root: Descriptor, platforms: Platforms) -> Graph:
        """Tags that point at the same thing share one look at it."""
        key = (root.digest, platforms)
        if key not in self._graphs:
            looking = self._explorer.explore(self._source, root, platforms, self._listed)
            self._graphs[key] = asyncio.ensure_future(looking)
        return await self._graphs[key]

    def _order(self) -> None:
        """A tag is switched after its companions, so that whoever sees it can check its signature."""
        copies = self.findings.copies
        for tag, copy in copies.items():
            if not is_companion(tag):
                after = {t for digest in copy.graph.nodes for t in self._companions.get(digest, ())}
                copies[tag] = replace(copy, after=frozenset(after & copies.keys()))


async def list_tags(source: Repository, asking: Asking) -> TagPage:
    """All tags that the source lists."""
    return await asking.ask(source.registry, lambda: source.tags.tags(EVERY))


async def bounded(limit: int, works: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Do all of `works`, at most `limit` at once."""
    waiting = iter(works)

    async def worker() -> None:
        for work in waiting:
            await work()

    async with asyncio.TaskGroup() as group:
        for _ in range(limit):
            group.create_task(worker())
