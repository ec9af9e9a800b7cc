"""One walk over what a manifest names: its blobs, for which platforms those are, and its images."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from registry_mesh.content.snapshot.finding.images import Shown
from registry_mesh.content.snapshot.finding.labels import is_config
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import INDEXES
from registry_mesh.oci.mentions import Kind, Mention, mentions
from registry_mesh.oci.refusals import BlobUnknown, ManifestUnknown
from registry_mesh.ports.blobs import BlobSource
from registry_mesh.ports.repositories import FetchedManifest, ManifestSource
from registry_mesh.replication.rules import platform_within
from registry_mesh.replication.wanted import attested, is_image, platform_of

MAX_DEPTH: Final = 8
_NONE: Final = "unknown/unknown"
"""What attests nothing that an index names is for no platform: it comes where all of them are wanted."""


class Weighing:
    """Gathers what `walk` finds. `store`: what holds the blobs, where it is a node's own repository."""

    def __init__(self, manifests: ManifestSource, store: BlobSource | None) -> None:
        self._manifests = manifests
        self._store = store
        self._seen: set[tuple[Digest, str, str, bool]] = set()
        self._for_all: set[str] = set()
        self.annotations: Mapping[str, str] = {}
        """Those of the first manifest."""
        self.images: list[Shown] = []
        self.blobs: dict[str, int] = {}
        self.platforms: dict[str, set[str]] = {}
        self.is_partial = False
        """Whether something is lacking that rules left out."""
        self.has_more = False
        """Whether something is for all platforms, or for none, and is no image."""

    @property
    def type(self) -> str:
        """Of the first image."""
        return self.images[0].type if self.images else ""

    @property
    def told(self) -> dict[str, Any]:
        """The blobs, as they are written down."""
        for_some = {name: digests - self._for_all for name, digests in sorted(self.platforms.items())}
        platforms = {name: sorted(digests) for name, digests in for_some.items()}
        partial = {"partial": True} if self.is_partial else {}
        return {"blobs": self.blobs, "platforms": platforms} | partial

    async def walk(self, root: Digest) -> None:
        """Whatever `root` names. `Failure`, `Refusal`."""
        self.annotations = (await self._walk(root, "", "", MAX_DEPTH, True)).annotations

    async def _walk(self, digest: Digest, platform: str, type: str, depth: int, is_image: bool) -> Manifest:
        """`platform` and `type` as they are said on the way."""
        fetched = await self._manifests.manifest(digest)
        manifest = fetched.manifest
        lacking = await self._lacking(fetched)
        self.is_partial = self.is_partial or bool(lacking)
        self._weigh(manifest, lacking, platform)
        self.has_more = self.has_more or (not is_image and platform in ("", _NONE))
        type = type or manifest.artifact_type or ""
        has_images, has_blobs = False, manifest.media_type not in INDEXES
        for child, name, shows in _children(manifest) if depth else ():
            key = (child.digest, platform_within(name, platform), type)
            if child.digest not in lacking:
                is_manifest = await self._child(child, key, depth - 1, is_image and shows)
                has_images = has_images or (shows and is_manifest)
                has_blobs = has_blobs or not is_manifest
        if is_image and not has_images and (has_blobs or depth == MAX_DEPTH):
            config = next(filter(is_config, manifest.blobs()), None)
            self.images.append(Shown(platform, type or manifest.media_type, config))
        return manifest

    async def _child(self, child: Mention, key: tuple[Digest, str, str], depth: int, is_image: bool) -> bool:
        """Gives whether it is a manifest: caches of builders name blobs, which are for all platforms."""
        try:
            if child.kind is not Kind.BLOB:
                if (*key, is_image) not in self._seen:
                    await self._walk(*key, depth, is_image)
                    self._seen.add((*key, is_image))
                return True
        except ManifestUnknown:
            if child.kind is Kind.MANIFEST:
                raise
        self.blobs[str(child.digest)] = child.size or 0
        self._for_all.add(str(child.digest))
        return False

    def _weigh(self, manifest: Manifest, lacking: Collection[Digest], platform: str) -> None:
        blobs = [blob for blob in manifest.blobs() if blob.distributable]
        sizes = {str(blob.digest): blob.size for blob in blobs if blob.digest not in lacking}
        self.blobs |= sizes
        (self.platforms.setdefault(platform, set()) if platform else self._for_all).update(sizes)

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


def _children(index: Manifest) -> Iterator[tuple[Mention, str, bool]]:
    """What an index names: the platform that each is for (empty: for all), and whether it is an image. What attests an
    image is for the platforms of that, too."""
    if not index.manifests:
        return
    named = mentions(index.data, index.media_type).named
    platforms: dict[str, list[str]] = {}
    for each in named:
        platforms.setdefault(str(each.digest), []).append(platform_of(each))
    for each in named:
        of = attested(each)
        if of is None:
            yield each, platform_of(each), is_image(each)
        else:
            for name in platforms.get(of, [_NONE]):
                yield each, platform_within(platform_of(each), name), False
