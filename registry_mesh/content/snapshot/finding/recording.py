"""What a repository shows, as one value that can be written down: tags with digests, blobs and platforms.

Nothing is stored: a plan is made of it elsewhere, and at another time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from registry_mesh.content.snapshot.finding.images import images
from registry_mesh.content.snapshot.finding.labels import read_config
from registry_mesh.content.snapshot.finding.signatures import Signatures
from registry_mesh.content.snapshot.finding.weighing import Weighing
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import ManifestUnknown, Refusal
from registry_mesh.ports.blobs import BlobSource
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.repositories import ManifestSource, Repository
from registry_mesh.replication.rules import Rule


@dataclass(frozen=True, slots=True)
class Recorder:
    """Writes down what repositories show at `now` (seconds since the epoch)."""

    now: float
    signatures: Signatures
    store: BlobSource | None = None
    """What holds the blobs, where it is a node's own repositories that are written down: what it lacks of what rules
    left out is no part of what is held."""
    told: set[str] = field(default_factory=set)
    """All blobs that were written down, of a node's own repositories."""

    async def record(
        self, repository: Repository, tags: Collection[Tag], wanted: Mapping[Tag, Sequence[Rule]]
    ) -> dict[str, Any]:
        """By tag what is known of it (registry-mesh/listing/1), as far as it matters to the rules that want it; of tags
        that are not `wanted` that they are there."""
        return {
            tag: await self._tag(repository, tag, wanted[tag], tags) if tag in wanted else {} for tag in tags
        }

    async def _tag(
        self, repository: Repository, tag: Tag, by: Sequence[Rule], tags: Collection[Tag]
    ) -> dict[str, Any]:
        """What cannot be had is left out: a plan says that it is not known."""
        try:
            root = (await repository.tags.resolve(tag)).descriptor.digest
        except (ManifestUnknown, Failure):
            return {}
        told: dict[str, Any] = {"digest": str(root)}
        weighing = Weighing(repository.manifests, self.store)
        verify = [rule.verify for rule in by if rule.verify is not None]
        try:
            await weighing.walk(root)
            self.told.update(weighing.blobs if self.store is not None else ())
            told |= {"type": weighing.type} | weighing.told
            if any(_asks_images(rule, weighing) for rule in by):
                told["images"] = await _images(weighing, repository, by)
            if verify:
                signed = await self.signatures.look(repository, root, tags, verify, self.now)
                told |= {"signed_by": sorted(signed.by), "has": sorted(signed.has)}
                told |= {"signatures": signed.found} if signed.found else {}
        except (Refusal, Failure):
            return told
        return told

    async def weigh(self, manifests: ManifestSource, digest: str) -> dict[str, Any]:
        """What a manifest stands for, as far as it is here; nothing where it is not."""
        weighing = Weighing(manifests, self.store)
        try:
            await weighing.walk(Digest.parse(digest))
        except (Refusal, Failure):
            return {}
        return weighing.told


def _asks_images(rule: Rule, weighing: Weighing) -> bool:
    """Whether the blobs and the type do not tell all that it asks."""
    if rule.labels or (rule.types and weighing.platforms):
        return True
    return rule.platforms is not None and weighing.has_more


async def _images(weighing: Weighing, repository: Repository, by: Sequence[Rule]) -> list[dict[str, Any]]:
    """As they are written down."""
    read = partial(read_config, repository)
    told = await images(weighing.annotations, weighing.images, by, read)
    return [{key: value for key, value in asdict(each).items() if value} for each in told]
