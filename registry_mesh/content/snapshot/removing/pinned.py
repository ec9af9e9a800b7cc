"""Manifests that rules pin without a tag, `@DIGEST`: they go through a run as tags that nobody else can see.

No tag may begin with `@`; so a listing has them beside its tags, and each points at what it says.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from registry_mesh.content.snapshot.removing.passed_on import PassedOn
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import ManifestUnknown, NameUnknown
from registry_mesh.ports.failures import SourceRefused
from registry_mesh.ports.repositories import KeptRepository, Repository, Resolved, TagPage
from registry_mesh.replication.pattern import pinned_digest
from registry_mesh.replication.rules import Rule


def bare_pins(rules: Iterable[Rule]) -> tuple[Tag, ...]:
    """The digests that rules pin without a tag, as they go through a run."""
    return tuple(sorted({Tag(f"@{pin.digest}") for rule in rules for pin in rule.pins if pin.tag is None}))


def with_pins(source: Repository, held: Repository, pins: tuple[Tag, ...]) -> Repository:
    """The source, whose list of tags has `pins`. What is `held` is not asked for: a digest does not change."""
    return replace(source, tags=_PinnedTags(source, held, pins)) if pins else source


@dataclass(frozen=True, slots=True)
class _PinnedTags:
    """Implements `ports.repositories.TagSource`."""

    source: Repository
    held: Repository
    pins: tuple[Tag, ...]

    async def resolve(self, tag: Tag, known: Descriptor | None = None) -> Resolved:
        """`SourceRefused` where a pinned manifest is neither held nor at the source."""
        digest = pinned_digest(tag)
        if digest is None:
            return await self.source.tags.resolve(tag, known)
        try:
            return Resolved((await self.held.manifests.manifest(digest)).manifest.descriptor)
        except (ManifestUnknown, NameUnknown):
            pass
        try:
            fetched = await self.source.manifests.manifest(digest)
        except ManifestUnknown:
            raise SourceRefused("a rule pins it, and it does not exist at its source") from None
        return Resolved(fetched.manifest.descriptor, fetched.provenance)

    async def tags(self, limit: int, last: str = "") -> TagPage:
        """The source's tags, and the pins."""
        page = await self.source.tags.tags(limit, last)
        return replace(page, tags=tuple(sorted({*page.tags, *self.pins})))


class PinnedTarget(PassedOn[KeptRepository]):
    """Implements `ports.repositories.KeptRepository` over the real one: its pins can be resolved as tags."""

    def __init__(self, real: KeptRepository) -> None:
        super().__init__(real)

    @property
    def kept(self) -> Repository:
        """What is here; a pin is when its manifest is."""
        return replace(self._real.kept, tags=_HeldPins(self._real))

    async def tag(self, tag: Tag, target: Descriptor, source: str) -> None:
        """As the real one."""
        await self._real.tag(tag, target, source)

    async def untag(self, tag: Tag, target: Digest, because: str, change: int | None = None) -> bool:
        """As the real one; a pin is kept for itself no longer."""
        if pinned_digest(tag) is None:
            return await self._real.untag(tag, target, because, change)
        held = target in await self._real.pinned()
        await self._real.unhold(target)
        return held


@dataclass(frozen=True, slots=True)
class _HeldPins:
    """Implements `ports.repositories.TagSource`."""

    real: KeptRepository

    async def resolve(self, tag: Tag, known: Descriptor | None = None) -> Resolved:
        """A pin by its digest."""
        kept, digest = self.real.kept, pinned_digest(tag)
        if digest is None:
            return await kept.tags.resolve(tag, known)
        return Resolved((await kept.manifests.manifest(digest)).manifest.descriptor)

    async def tags(self, limit: int, last: str = "") -> TagPage:
        """Those that clients see, and what is kept for itself."""
        page = await self.real.kept.tags.tags(limit, last)
        pins = [Tag(f"@{digest}") for digest in await self.real.pinned()]
        return replace(page, tags=tuple(sorted((*pins, *page.tags)))) if pins else page
