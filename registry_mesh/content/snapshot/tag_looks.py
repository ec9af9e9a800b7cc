"""Questions about tags of one repository: what they point at, whether that is held, and its graph."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from registry_mesh.content.snapshot.finding.asking import Asking
from registry_mesh.content.snapshot.finding.explorer import Explorer
from registry_mesh.content.snapshot.finding.graph import Graph
from registry_mesh.content.snapshot.records.receipts import Receipt
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import ManifestUnknown, NameUnknown
from registry_mesh.ports.repositories import EVERY, KeptRepository, Repository, TagPage
from registry_mesh.replication.companions import Companions
from registry_mesh.replication.rules import Platforms, Rule


@dataclass(slots=True)
class TagLooks:
    """Asks the source one HEAD a tag, and what `Explorer` asks for each graph that is wanted."""

    source: Repository
    target: KeptRepository
    receipts: Mapping[Tag, Receipt]
    explorer: Explorer
    asking: Asking
    now: float
    referrers_every: float
    """Seconds for which a receipt stands for what it says."""
    listed: frozenset[Tag] = frozenset()
    """All tags that the source lists."""
    _graphs: dict[tuple[Digest, Platforms, Companions], asyncio.Task[Graph]] = field(default_factory=dict)

    async def resolve(self, tag: Tag) -> Descriptor | None:
        """What the tag points at; None where its source says of the tag itself that there is none."""
        try:
            asked = await self.asking.ask(self.source.registry, lambda: self.source.tags.resolve(tag))
        except ManifestUnknown:
            return None
        return asked.descriptor

    async def is_held(self, tag: Tag, receipt: Receipt, rules: Collection[Rule] = ()) -> bool:
        """Whether the target has all that `receipt` stands for, and was told so lately, with what `rules` ask."""
        noted = self.receipts.get(tag)
        if noted != receipt or not noted.tells(rules) or not 0 <= self.now - noted.at < self.referrers_every:
            return False
        try:
            held = await self.target.kept.tags.resolve(tag)
        except (ManifestUnknown, NameUnknown):
            return False
        return str(held.descriptor.digest) == receipt.digest

    async def explore(self, root: Descriptor, platforms: Platforms, kinds: Companions) -> Graph:
        """The graph below `root`. Tags that point at the same thing share one look at it."""
        key = (root.digest, platforms, kinds)
        if key not in self._graphs:
            looking = self.explorer.explore(self.source, root, platforms, self.listed, kinds)
            self._graphs[key] = asyncio.ensure_future(looking)
        return await self._graphs[key]


async def list_tags(source: Repository, asking: Asking) -> TagPage:
    """All tags that the source lists."""
    return await asking.ask(source.registry, lambda: source.tags.tags(EVERY))
