"""Images brought ahead of time, through the same sources that clients read: each byte crosses the link once."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from registry_mesh.content.holdings.staying import Staying
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.mentions import Kind, Mention, mentions
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import BlobUnknown, Refusal
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.repositories import Repository

WIDTH: Final = 4
"""Blobs brought at once."""

_OPTIONAL: Final = (BlobUnknown,)


@dataclass(slots=True)
class Meter:
    """How far it has come; sizes in bytes. `failed`: why, by image."""

    repositories: int = 0
    images: int = 0
    images_done: int = 0
    size: int = 0
    size_done: int = 0
    size_brought: int = 0
    """Of `size_done`, what was not held whole before."""
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ordered:
    """An image to be brought: a tag, or a digest, of a repository. `platforms`: `os/arch`; empty: all."""

    name: str
    repository: Repository
    reference: Tag | Digest
    platforms: frozenset[str] = frozenset()


class Preload:
    """One run over several images."""

    def __init__(self, images: Collection[Ordered], meter: Meter, staying: Staying | None = None) -> None:
        """`staying` tells whether the store keeps them; None: nothing does."""
        self._images = images
        self._meter = meter
        self._staying = staying
        self._brought: dict[str, list[Mention]] = {}
        self._here: set[tuple[str, str, Digest]] = set()
        """By registry and repository: whether it is one's is found out at each."""
        self._absent: set[Digest] = set()
        """What parents do not have, and need not."""
        self._room = asyncio.Semaphore(WIDTH)
        meter.images = len(images)

    async def run(self) -> None:
        """Until all are here, or have failed: what fails is in the meter, and stops nothing else."""
        for image in self._images:
            try:
                await self._image(image)
                self._meter.images_done += 1
            except* (Failure, Refusal) as faults:
                self._meter.failed[image.name] = _first(faults)
        if self._staying is not None:
            await self._look_again(self._staying)

    async def _look_again(self, staying: Staying) -> None:
        """Whether what came is here still, now that all came."""
        for name, blobs in self._brought.items():
            try:
                why = await staying.gone(blobs)
            except Failure as fault:
                why = fault.reason
            if why:
                self._meter.images_done -= 1
                self._meter.failed[name] = why

    async def _image(self, image: Ordered) -> None:
        digest = image.reference
        if not isinstance(digest, Digest):
            digest = (await image.repository.tags.resolve(digest)).descriptor.digest
        found = await named(image.repository, digest, image.platforms)
        blobs = [each for each in found if each.kind is Kind.BLOB]
        if self._staying is not None:
            self._staying.demand_fits(blobs)
        place = image.repository.registry, image.repository.name
        new = [each for each in blobs if (*place, each.digest) not in self._here]
        self._meter.size += sum(each.size or 0 for each in new)
        async with asyncio.TaskGroup() as group:
            for each in new:
                group.create_task(self._blob(image.repository, each))
        self._here |= {(*place, each.digest) for each in new}
        self._brought[image.name] = [each for each in blobs if each.digest not in self._absent]

    async def _blob(self, repository: Repository, blob: Mention) -> None:
        async with self._room:
            try:
                async with repository.blobs.open(blob.digest) as reading:
                    async for piece in reading.pieces():
                        self._meter.size_done += len(piece)
                        if not reading.provenance.hit:
                            self._meter.size_brought += len(piece)
            except _OPTIONAL:
                if blob.needed:
                    raise
                self._absent.add(blob.digest)


async def named(repository: Repository, root: Digest, platforms: frozenset[str]) -> list[Mention]:
    """What an image consists of, below its manifest `root`, each once: manifests, which are here then, and blobs."""
    found: dict[Digest, Mention] = {}
    done: set[Digest] = set()
    todo = [root]
    while todo:
        digest = todo.pop()
        if digest in done:
            continue
        done.add(digest)
        manifest = (await repository.manifests.manifest(digest)).manifest
        for each in mentions(manifest.data, manifest.media_type).named:
            if each.kind is Kind.BLOB or (each.kind is Kind.MANIFEST and _is_wanted(each, platforms)):
                found.setdefault(each.digest, each)
                todo += [each.digest] if each.kind is Kind.MANIFEST else []
    return list(found.values())


def _is_wanted(child: Mention, platforms: frozenset[str]) -> bool:
    if not platforms or child.platform is None:
        return True
    system, machine = child.platform.get("os"), child.platform.get("architecture")
    variant = child.platform.get("variant")
    return bool({f"{system}/{machine}", f"{system}/{machine}/{variant}"} & platforms)


def _first(faults: BaseExceptionGroup[BaseException]) -> str:
    fault: BaseException = faults
    while isinstance(fault, BaseExceptionGroup):
        fault = fault.exceptions[0]
    return str(getattr(fault, "reason", fault))
