"""The facts by which it is decided what becomes of the tags of one repository, as far as they cost a question."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from registry_mesh.content.snapshot.finding.signatures import Signatures
from registry_mesh.content.snapshot.records.released import Release
from registry_mesh.content.snapshot.records.remembered_tags import TagMemory
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import ManifestUnknown, NameUnknown, Refusal
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.repositories import KeptRepository, Repository
from registry_mesh.replication.rules import Rule
from registry_mesh.replication.tag_facts import TagFacts


class FactFinder:
    """Of one repository, at one time (`now`, seconds since the epoch)."""

    def __init__(
        self,
        source: Repository,
        target: KeptRepository,
        known: Mapping[Tag, TagMemory],
        signatures: Signatures,
        now: float,
        released: Mapping[tuple[Tag, str], Release],
    ) -> None:
        self._released = released
        self._source = source
        self._target = target
        self._known = known
        self._signatures = signatures
        self._asking = signatures.asking
        self._now = now
        self.remembered: dict[Tag, TagMemory] = {}
        """What is to be remembered of the selected tags."""
        self.notes: list[str] = []
        """What a person let through."""
        self.faults: dict[str, Exception] = {}
        """By tag, why it cannot be judged."""

    async def of(
        self, tags: Iterable[Tag], roots: Mapping[Tag, Descriptor], taken: Mapping[Tag, Sequence[Rule]]
    ) -> dict[Tag, TagFacts]:
        """What needs no further question to the source, of all listed tags."""
        found = {}
        for tag in tags:
            root = roots.get(tag)
            if root is None:
                found[tag] = TagFacts()
                continue
            known = self._known.get(tag)
            digest = str(root.digest)
            memory = known.seen(digest, self._now) if known is not None else TagMemory(digest, self._now)
            self.remembered[tag] = memory
            held = await self._held(tag) if any(map(_is_guarded, taken.get(tag, ()))) else None
            released = self._released.get((tag, digest))
            if released is not None and held != root.digest:
                self.notes.append(str(released))
            moves = memory.moved(self._now)
            found[tag] = TagFacts(root.digest, memory.since, moves, held=held, released=released is not None)
        return found

    async def _held(self, tag: Tag) -> Digest | None:
        try:
            return (await self._target.kept.tags.resolve(tag)).descriptor.digest
        except (ManifestUnknown, NameUnknown):
            return None

    async def signed(
        self, facts: Mapping[Tag, TagFacts], taken: Mapping[Tag, Sequence[Rule]]
    ) -> dict[Tag, TagFacts]:
        """Who signed those of `taken` that a rule wants signed and that are not here yet; `faults` where its source
        cannot tell."""
        moved = [
            tag
            for tag, by in taken.items()
            if any(rule.verify for rule in by) and facts[tag].digest != facts[tag].held
        ]
        looked = await asyncio.gather(
            *(self._signed(tag, facts[tag], taken[tag], tuple(facts)) for tag in moved)
        )
        return {tag: each for tag, each in zip(moved, looked, strict=True) if each is not None}

    async def _signed(
        self, tag: Tag, facts: TagFacts, by: Sequence[Rule], tags: tuple[Tag, ...]
    ) -> TagFacts | None:
        wanted = [rule.verify for rule in by if rule.verify is not None]
        assert facts.digest is not None, "what is taken was resolved"
        try:
            signed = await self._signatures.look(self._source, facts.digest, tags, wanted, self._now)
        except (Failure, Refusal) as fault:
            self.faults[tag] = fault
            return None
        return replace(facts, signed_by=signed.by, has=signed.has, signatures=signed.found)


def _is_guarded(rule: Rule) -> bool:
    """Whether it matters to it what the tag is here."""
    return bool(rule.age or rule.fixed is not None or rule.verify is not None)
