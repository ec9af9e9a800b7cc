"""What a manifest stands for: itself, its children, their blobs, and what refers to them.

Manifests are fetched once, checked, and kept in the blob store at once, where nobody serves them until their
repository lists them; the next look finds them there. Blobs are only named here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.refusals import BlobUnknown, ManifestInvalid
from registry_mesh.ports.blobs import BlobStore
from registry_mesh.ports.failures import SourceLied
from registry_mesh.ports.pieces import put, whole
from registry_mesh.ports.repositories import Repository
from registry_mesh.replication.plan import is_manifest, wanted_blobs, wanted_children
from registry_mesh.replication.rules import Platforms

MAX_MANIFEST: Final = 64 << 20
MAX_NODES: Final = 50_000
"""Manifests of one graph; a source that names more is not followed."""
MAX_DEPTH: Final = 16


@dataclass(frozen=True, slots=True)
class Node:
    """A manifest, and what has to be there before it."""

    descriptor: Descriptor
    blobs: tuple[Descriptor, ...]
    before: tuple[Digest, ...]
    """Its children; for a referrer also its subject."""


@dataclass(frozen=True, slots=True)
class Graph:
    """Everything below and around `root`."""

    root: Descriptor
    nodes: Mapping[Digest, Node]


Lead = tuple[Descriptor, Digest | None]
"""A manifest to look at, and the subject it was listed under where it was found as a referrer."""


class Explorer:
    """Finds graphs, asking a source only for manifests that the store lacks. At most `asks` questions at once,
    over all graphs together."""

    def __init__(self, store: BlobStore, asks: asyncio.Semaphore) -> None:
        self._store = store
        self._asks = asks

    async def explore(self, source: Repository, root: Descriptor, platforms: Platforms) -> Graph:
        """`SourceLied` where the source's answers contradict themselves, and what sources raise."""
        nodes: dict[Digest, Node] = {}
        level: list[Lead] = [(root, None)]
        for _ in range(MAX_DEPTH):
            fresh = _fresh(level, nodes)
            if not fresh:
                return Graph(root, nodes)
            if len(nodes) + len(fresh) > MAX_NODES:
                raise SourceLied(f"{root.digest} stands for more than {MAX_NODES} manifests")
            looks = (self._look(source, found, subject, platforms) for found, subject in fresh.values())
            level = []
            for node, following in await asyncio.gather(*looks):
                if node is not None:
                    nodes[node.descriptor.digest] = node
                    level.extend(following)
        raise SourceLied(f"{root.digest} is nested deeper than {MAX_DEPTH}")

    async def _look(
        self, source: Repository, found: Descriptor, subject: Digest | None, platforms: Platforms
    ) -> tuple[Node | None, list[Lead]]:
        """The node, and where to go from it. None for a listed referrer that refers to something else."""
        manifest = await self._manifest(source, found)
        if subject is not None and (manifest.subject is None or manifest.subject.digest != subject):
            return None, []
        listed = wanted_children(manifest, platforms)
        children = [child for child in listed if is_manifest(child)]
        blobs = (*wanted_blobs(manifest), *(child for child in listed if not is_manifest(child)))
        before = tuple(child.digest for child in children) + ((subject,) if subject else ())
        async with self._asks:
            referring = (await source.referrers.referrers(found.digest)).descriptors
        following: list[Lead] = [(child, None) for child in children]
        following += [(each, found.digest) for each in referring]
        return Node(manifest.descriptor, blobs, before), following

    async def _manifest(self, source: Repository, wanted: Descriptor) -> Manifest:
        data = await held_data(self._store, wanted.digest)
        if data is None:
            async with self._asks:
                data = (await source.manifests.manifest(wanted.digest)).manifest.data
            _check(data, wanted, source)
            await put(self._store, wanted.digest, data)
        try:
            return Manifest.parse(data, wanted.media_type, wanted.digest)
        except ManifestInvalid as refusal:
            raise SourceLied(f"{wanted.digest}: {refusal.reason}", source=str(source.registry)) from None


def _fresh(level: list[Lead], nodes: Mapping[Digest, Node]) -> dict[Digest, Lead]:
    """Each new manifest once; one that is a child is taken as that, whatever it may refer to besides."""
    fresh: dict[Digest, Lead] = {}
    for found, subject in level:
        if found.digest not in nodes and (subject is None or found.digest not in fresh):
            fresh[found.digest] = (found, subject)
    return fresh


async def held_data(store: BlobStore, digest: Digest) -> bytes | None:
    """A manifest's bytes, where the store has them and they are still what they were."""
    try:
        async with store.open(digest) as reading:
            data = await whole(reading, MAX_MANIFEST)
    except BlobUnknown:
        return None
    if Digest.of(data, digest.algorithm) == digest:
        return data
    await store.delete(digest)
    return None


def _check(data: bytes, wanted: Descriptor, source: Repository) -> None:
    """A source's word is not enough, whatever it checked itself."""
    if Digest.of(data, wanted.digest.algorithm) != wanted.digest:
        raise SourceLied(f"other bytes than those of {wanted.digest}", source=str(source.registry))
    if len(data) != wanted.size:
        raise SourceLied(
            f"{wanted.digest} has {len(data)} bytes and is said to have {wanted.size}",
            source=str(source.registry),
        )
