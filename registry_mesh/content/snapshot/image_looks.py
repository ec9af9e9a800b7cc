"""What the images of tags are, for rules that ask their type or labels."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

from registry_mesh.content.snapshot.finding.graph import NothingFor
from registry_mesh.content.snapshot.finding.images import images, shown
from registry_mesh.content.snapshot.finding.labels import read_config
from registry_mesh.content.snapshot.tag_looks import TagLooks
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import Refusal
from registry_mesh.ports.failures import Failure
from registry_mesh.replication.decision import Decision
from registry_mesh.replication.images import Image
from registry_mesh.replication.rules import Platforms, Rule, union


class ImageLooks:
    """Of one repository. What was noted of a digest is not looked for again: it is always the same."""

    def __init__(self, tags: TagLooks) -> None:
        self._tags = tags
        self.faults: dict[str, Exception] = {}
        """By tag, why it is not known."""

    async def of(
        self,
        asked: Mapping[Tag, Decision],
        roots: Mapping[Tag, Descriptor],
        by: Mapping[Tag, Sequence[Rule]],
    ) -> dict[Tag, tuple[Image, ...]]:
        """The images of the tags that are `asked`: those that some rule looks at `by` which the tag is selected."""
        found = await asyncio.gather(*(self._of(d, roots[tag], by[tag]) for tag, d in asked.items()))
        return {tag: each for tag, each in zip(asked, found, strict=True) if each is not None}

    async def _of(self, decision: Decision, root: Descriptor, by: Sequence[Rule]) -> tuple[Image, ...] | None:
        noted = self._tags.receipts.get(decision.tag)
        if noted is not None and noted.digest == str(root.digest) and noted.tells_images(by):
            return noted.images
        try:
            return await self._look(decision, root, by)
        except (Failure, Refusal) as fault:
            self.faults[decision.tag] = fault
            return None

    async def _look(self, decision: Decision, root: Descriptor, by: Sequence[Rule]) -> tuple[Image, ...]:
        platforms = union((decision.platforms, *map(_looked_at, by)))
        try:
            graph = await self._tags.explore(root, platforms, decision.companions)
        except NothingFor:
            return ()
        return await images(graph.root.annotations, shown(graph), by, self._read)

    async def _read(self, config: Descriptor) -> bytes:
        source = self._tags.source
        return await self._tags.asking.ask(source.registry, partial(read_config, source, config))


def _looked_at(rule: Rule) -> Platforms:
    """The platforms of the images that the rule asks something of."""
    return rule.platforms if rule.types or rule.labels else frozenset()
