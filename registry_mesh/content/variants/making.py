"""The variants of one image or index: what is made is kept beside it, as a referrer, and made once.

Of an index each image is made by itself, and an index of those refers to the whole: so a client of either finds its
form of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any, BinaryIO, Final, cast

from registry_mesh.content.variants import estargz, sif
from registry_mesh.content.variants.flat_tree import FlatTree
from registry_mesh.content.variants.spool import WHO, Unmakeable, push, push_bytes, unpacked, work
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import INDEXES, MANIFESTS, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from registry_mesh.ports.failures import StoreBroken
from registry_mesh.ports.pieces import whole
from registry_mesh.ports.pushes import Pushes
from registry_mesh.ports.repositories import Repository
from registry_mesh.replication.companions import VARIANTS
from registry_mesh.replication.rules import Platforms

_CONFIGS: Final = (OCI_CONFIG, "application/vnd.docker.container.image.v1+json")
_LARGEST_CONFIG: Final = 8 << 20
_OCI_LAYER: Final = "application/vnd.oci.image.layer.v1.tar+gzip"

Document = dict[str, Any]  # Any: JSON as it came, or goes


@dataclass(frozen=True, slots=True)
class Made:
    """The variants of what a digest names: the one that is there now, and how many were made for it."""

    descriptor: Descriptor | None
    fresh: int = 0
    size: int = 0
    """Bytes of blobs that were made."""


NOTHING: Final = Made(None)


class VariantsOf:
    """Makes variants in one repository; works on files in `folder`."""

    def __init__(self, repository: Repository, folder: Path) -> None:
        self._repository = repository
        self._folder = folder

    async def make(self, digest: Digest, kind: str, platforms: Platforms) -> Made:
        """The variant of a manifest or an index; made where it is not there. `Unmakeable` where it cannot be made;
        `Refusal` and `Failure` as a push raises them."""
        known = await self._known(digest, kind)
        if known is not None:
            return Made(known)
        manifest = (await self._repository.manifests.manifest(digest)).manifest
        if manifest.media_type in INDEXES:
            return await self._index(manifest, kind, platforms)
        if manifest.media_type not in MANIFESTS or manifest.config is None:
            return NOTHING
        if manifest.config.media_type not in _CONFIGS:
            return NOTHING  # no image: a chart, a signature, a SIF already
        config = await self._config(manifest.config)
        return await (self._sif(manifest, config) if kind == "sif" else self._estargz(manifest, config))

    async def _known(self, digest: Digest, kind: str) -> Descriptor | None:
        found = await self._repository.referrers.referrers(digest)
        return next((each for each in found.descriptors if each.artifact_type == VARIANTS[kind]), None)

    async def _index(self, index: Manifest, kind: str, platforms: Platforms) -> Made:
        children: list[Document] = []
        fresh = size = 0
        for child in index.manifests:
            if not _is_wanted(child, platforms):
                continue
            made = await self.make(child.digest, kind, None)
            fresh, size = fresh + made.fresh, size + made.size
            if made.descriptor is not None:
                children.append(replace(made.descriptor, platform=child.platform).document())
        if not children:
            return Made(None, fresh, size)
        document: Document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "artifactType": VARIANTS[kind]}
        return await self._put(document | {"manifests": children}, index, fresh, size)

    async def _estargz(self, manifest: Manifest, config: Document) -> Made:
        if all(estargz.TOC_DIGEST in layer.annotations for layer in manifest.layers):
            return NOTHING  # it can be read lazily as it is
        diffs = list((config.get("rootfs") or {}).get("diff_ids") or ())
        if len(diffs) != len(manifest.layers):
            raise Unmakeable("its config and its manifest tell of different numbers of layers")
        layers: list[Document] = []
        size = 0
        for number, layer in enumerate(manifest.layers):
            if estargz.TOC_DIGEST in layer.annotations:
                layers.append(layer.document())
                continue
            made, diffs[number] = await self._layer(layer)
            size += made.size
            layers.append(made.document())
        data = json.dumps(config | {"rootfs": {"type": "layers", "diff_ids": diffs}}).encode()
        digest = await push_bytes(self._pushes, data)
        document: Document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": VARIANTS["estargz"],
            "config": Descriptor(OCI_CONFIG, digest, len(data)).document(),
            "layers": layers,
        }
        return await self._put(document, manifest, 0, size + len(data))

    async def _layer(self, layer: Descriptor) -> tuple[Descriptor, str]:
        """The layer as eStargz, and what the config says of it."""
        with ExitStack() as stack:
            tar = stack.enter_context(await unpacked(self._repository.blobs, layer, self._folder))
            out = stack.enter_context(TemporaryFile(dir=self._folder))
            file = cast(BinaryIO, out)  # a file without a name, as any
            written = await work(lambda go_on: estargz.write(tar, file, go_on))
            file.flush()
            pushed = await push(self._pushes, file)
        annotations = {
            **layer.annotations,
            estargz.TOC_DIGEST: written.toc_digest,
            estargz.SIZE: str(written.uncompressed),
        }
        return replace(pushed, media_type=_OCI_LAYER, annotations=annotations), written.diff_id

    async def _sif(self, manifest: Manifest, config: Document) -> Made:
        if config.get("os") != "linux":
            return NOTHING  # nobody runs it so
        try:
            code = sif.architecture(str(config.get("architecture", "")))
        except ValueError as fault:
            raise Unmakeable(str(fault)) from None
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(dir=self._folder)))
            layers = [
                stack.enter_context(await unpacked(self._repository.blobs, layer, self._folder))
                for layer in manifest.layers
            ]
            to = folder / "squashfs"

            def squash(go_on: Any) -> None:  # Any: see `work`
                sif.squash(FlatTree(layers, go_on).pieces(), config, to, go_on)

            await work(squash)
            file = stack.enter_context(to.open("rb"))
            head = sif.head(to.stat().st_size, code, self._repository.name, str(manifest.digest))
            pushed = await push(self._pushes, file, head)
        title = f"{self._repository.name.rpartition('/')[2]}.sif"
        layer = replace(pushed, media_type=sif.LAYER, annotations={"org.opencontainers.image.title": title})
        empty = await push_bytes(self._pushes, b"{}")
        document: Document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": Descriptor(sif.CONFIG, empty, 2).document(),
            "layers": [layer.document()],
        }
        return await self._put(document, manifest, 0, pushed.size)

    async def _put(self, document: Document, subject: Manifest, fresh: int, size: int) -> Made:
        plain = Descriptor(subject.media_type, subject.digest, len(subject.data))
        data = json.dumps(document | {"subject": plain.document()}, separators=(",", ":")).encode()
        manifest = Manifest.parse(data, str(document["mediaType"]))
        await self._pushes.put_manifest(WHO, manifest, ())
        return Made(manifest.descriptor, fresh + 1, size)

    async def _config(self, blob: Descriptor) -> Document:
        async with self._repository.blobs.open(blob.digest) as reading:
            data = await whole(reading, _LARGEST_CONFIG)
        try:
            document: Mapping[str, Any] = json.loads(data)  # Any: JSON as it came
            return dict(document)
        except (ValueError, TypeError, RecursionError):
            raise Unmakeable(f"its config {blob.digest} is no JSON object") from None

    @property
    def _pushes(self) -> Pushes:
        if self._repository.pushes is None:
            raise StoreBroken("variants are made where images are pushed to")
        return self._repository.pushes


def _is_wanted(child: Descriptor, platforms: Platforms) -> bool:
    stated = child.platform or {}
    if stated.get("os") == "unknown":
        return False  # an attestation
    return platforms is None or not stated or any(each.includes(stated) for each in platforms)
