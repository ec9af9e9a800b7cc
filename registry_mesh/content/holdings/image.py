"""An image as it is held: its parts, and how much of each is here."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.mentions import Kind, Mention, mentions
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.ports.blobs import BlobSource
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.holdings import Holdings
from registry_mesh.ports.pieces import whole
from registry_mesh.ports.place import Place

_DOCUMENT: Final = 64 << 20
"""Bytes of a manifest that is looked into."""


@dataclass(frozen=True, slots=True)
class Part:
    """A manifest, a config or a layer. `size` in bytes as a manifest says it, `held` as they are here."""

    digest: Digest
    size: int
    held: int


@dataclass(frozen=True, slots=True)
class Image:
    """What a tag, or a digest that none points at, stands for here. An index counts with those children that are here:
    a client that pulls for one platform needs no others."""

    place: Place
    tag: str
    digest: Digest
    parts: tuple[Part, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """`REGISTRY/REPOSITORY:TAG`."""
        return f"{self.place}:{self.tag}" if self.tag else f"{self.place}@{self.digest}"

    @property
    def size(self) -> int:
        """Bytes of all parts that are known of."""
        return sum(part.size for part in self.parts)

    @property
    def held(self) -> int:
        """Bytes of them that are here."""
        return sum(part.held for part in self.parts)

    @property
    def whole(self) -> bool:
        """Whether all of it is here."""
        return all(part.held >= part.size for part in self.parts) and self.held > 0


class Looks:
    """Looks at images of one store; what was seen of a digest is remembered as long as this lives."""

    def __init__(self, blobs: BlobSource, holdings: Holdings) -> None:
        self._blobs = blobs
        self._holdings = holdings
        self._held: dict[Digest, int] = {}
        self._named: dict[Digest, Sequence[Mention]] = {}

    async def image(self, place: Place, tag: str, digest: Digest) -> Image:
        """The image as it is here now. `StoreBroken`."""
        parts: dict[Digest, Part] = {}
        todo = [digest]
        while todo:
            manifest = todo.pop()
            held = await self._held_of(manifest)
            if manifest in parts or (not held and manifest != digest):
                continue
            parts[manifest] = Part(manifest, held, held)
            for each in await self._mentioned(manifest) if held else ():
                if each.kind is Kind.MANIFEST:
                    todo.append(each.digest)
                elif each.kind is Kind.BLOB and each.digest not in parts:
                    here = await self._held_of(each.digest)
                    parts[each.digest] = Part(each.digest, here if each.size is None else each.size, here)
        return Image(place, tag, digest, tuple(parts.values()))

    async def _held_of(self, digest: Digest) -> int:
        if digest not in self._held:
            self._held[digest] = await self._holdings.held(digest)
        return self._held[digest]

    async def _mentioned(self, digest: Digest) -> Sequence[Mention]:
        if digest not in self._named:
            self._named[digest] = await self._read(digest)
        return self._named[digest]

    async def _read(self, digest: Digest) -> Sequence[Mention]:
        try:
            async with self._blobs.open(digest) as reading:
                return mentions(await whole(reading, _DOCUMENT), "").named
        except (BlobUnknown, Failure):
            return ()


def on_disk(images: Collection[Image]) -> int:
    """Bytes that they take: what several share counts once."""
    return sum({part.digest: part.held for image in images for part in image.parts}.values())


def alone(images: Collection[Image], others: Collection[Image]) -> dict[Digest, Part]:
    """The parts of `images` that none of `others` has."""
    shared = {part.digest for image in others for part in image.parts}
    return {part.digest: part for image in images for part in image.parts if part.digest not in shared}


def sharing(image: Image, others: Collection[Image]) -> dict[str, int]:
    """The names of `others` that have parts of `image` too, with the bytes held of those; most first."""
    here = {part.digest: part.held for part in image.parts if part.held}
    shared = {
        each.name: sum(here[digest] for digest in {part.digest for part in each.parts} & here.keys())
        for each in others
    }
    return {name: shared[name] for name in sorted(shared, key=lambda name: -shared[name]) if shared[name]}
