"""What a repository shows, as one value that can be written down: tags with digests, blobs and platforms.

Nothing is stored: a plan is made of it elsewhere, and at another time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from registry_mesh.content.snapshot.finding.labels import is_config, labels, read_config
from registry_mesh.content.snapshot.finding.signatures import Signatures
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import BlobUnknown, ManifestUnknown, Refusal
from registry_mesh.ports.blobs import BlobSource
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.repositories import FetchedManifest, ManifestSource, Repository
from registry_mesh.replication.rules import Platforms, Rule, union

MAX_DEPTH: Final = 8


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
        weighing = _Weighing(repository.manifests, union(rule.platforms for rule in by), self.store)
        verify = [rule.verify for rule in by if rule.verify is not None]
        try:
            await weighing.walk(root, None, MAX_DEPTH)
            self.told.update(weighing.blobs if self.store is not None else ())
            told |= {"type": weighing.type} | weighing.told
            keys = [key for rule in by for key, _ in rule.labels]
            if keys:
                told["labels"] = await weighing.labels(keys, repository)
            if verify:
                signed = await self.signatures.look(repository, root, tags, verify, self.now)
                told |= {"signed_by": sorted(signed.by), "has": sorted(signed.has)}
                told |= {"signatures": signed.found} if signed.found else {}
        except (Refusal, Failure):
            return told
        return told

    async def weigh(self, manifests: ManifestSource, digest: str) -> dict[str, Any]:
        """What a manifest stands for, as far as it is here; nothing where it is not."""
        weighing = _Weighing(manifests, None, self.store)
        try:
            await weighing.walk(Digest.parse(digest), None, MAX_DEPTH)
        except (Refusal, Failure):
            return {}
        return weighing.told


class _Weighing:
    """One walk over what a manifest names; of `wanted` platforms the labels count."""

    def __init__(self, manifests: ManifestSource, wanted: Platforms, store: BlobSource | None) -> None:
        self._manifests = manifests
        self._wanted = wanted
        self._store = store
        self._annotations: Mapping[str, str] | None = None
        self._configs: list[Descriptor] = []
        self.blobs: dict[str, int] = {}
        self.platforms: dict[str, set[str]] = {}
        self.type = ""
        self.is_partial = False
        """Whether something is lacking that rules left out."""

    @property
    def told(self) -> dict[str, Any]:
        """The blobs, as they are written down."""
        platforms = {name: sorted(digests) for name, digests in sorted(self.platforms.items())}
        partial = {"partial": True} if self.is_partial else {}
        return {"blobs": self.blobs, "platforms": platforms} | partial

    async def walk(self, digest: Digest, platform: str | None, depth: int, counts: bool = True) -> None:
        """`counts`: whether it is of a wanted platform."""
        fetched = await self._manifests.manifest(digest)
        manifest = fetched.manifest
        lacking = await self._lacking(fetched)
        self.is_partial = self.is_partial or bool(lacking)
        blobs = [blob for blob in manifest.blobs() if blob.distributable]
        sizes = {str(blob.digest): blob.size for blob in blobs if blob.digest not in lacking}
        self.blobs |= sizes
        config = manifest.config.media_type if manifest.config is not None else ""
        self.type = self.type or manifest.artifact_type or config
        self._annotations = manifest.annotations if self._annotations is None else self._annotations
        self._configs += [each for each in manifest.blobs() if counts and is_config(each)]
        if platform is not None:
            self.platforms.setdefault(platform, set()).update(sizes)
        for child in manifest.manifests if depth else ():
            if child.digest in lacking:
                continue
            stated = child.platform or {}
            told = "/".join(str(stated[k]) for k in ("os", "architecture", "variant") if stated.get(k))
            known = told if told and "unknown" not in told else platform
            mine = not stated or self._wanted is None or any(each.includes(stated) for each in self._wanted)
            await self.walk(child.digest, known, depth - 1, counts and mine and "unknown" not in told)

    async def _lacking(self, fetched: FetchedManifest) -> Collection[Digest]:
        """What rules left out and is not here: most manifests name nothing of the kind, and cost no question."""
        if self._store is None:
            return ()
        return {each for each in fetched.left_out if not await self._has(self._store, fetched, each)}

    async def _has(self, store: BlobSource, fetched: FetchedManifest, digest: Digest) -> bool:
        """A manifest counts where its repository has it, a blob where anything has brought it."""
        try:
            if any(child.digest == digest for child in fetched.manifest.manifests):
                return bool(await self._manifests.manifest(digest))
            return bool(await store.stat(digest))
        except (BlobUnknown, ManifestUnknown):
            return False

    async def labels(self, keys: Iterable[str], source: Repository) -> dict[str, Any]:
        read = partial(read_config, source)
        told = await labels(self._annotations or {}, self._configs, keys, read)
        return {key: values[0] if len(values) == 1 else list(values) for key, values in told.items()}
