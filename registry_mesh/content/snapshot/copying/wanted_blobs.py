"""Blobs that a copy wants, and what there is of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from registry_mesh.content.snapshot.copying.flow import Flow, OutsideWindow
from registry_mesh.content.snapshot.finding.asking import Asking
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.reference import RegistryName
from registry_mesh.ports.blobs import BlobSource
from registry_mesh.ports.outward import PushedRepository
from registry_mesh.ports.place import Place


@dataclass(slots=True)
class WantedBlob:
    """A blob that tags stand for: where it may be had from, and where it is to be."""

    blob: Descriptor
    registry: RegistryName
    sources: list[BlobSource]
    rank: int
    rules: tuple[str, ...] = ()
    flows: list[Flow | None] = field(default_factory=list)
    is_kept: bool = False
    """Whether it is wanted here, and not only at registries that it is pushed to."""
    outward: dict[Place, PushedRepository] = field(default_factory=dict)
    """Where it is pushed to."""

    async def lacking(self, asking: Asking) -> list[Place]:
        """The places that it is pushed to and that do not have it."""
        return [
            place
            for place, target in self.outward.items()
            if not await asking.patiently(place.registry, partial(target.has, self.blob))
        ]

    def open_flow(self) -> Flow | None:
        """That by which bytes flow now, of all who want the blob; None: none is needed. `OutsideWindow`."""
        why = "nobody wants it"
        for each in self.flows:
            if each is None or (closed := each.closed) is None:
                return each
            why = closed
        raise OutsideWindow(why)

    @property
    def queue(self) -> str:
        """The rule at whose pace its bytes come; empty where they may come as fast as they do."""
        paced = [each.paced_by if each is not None else "" for each in self.flows]
        return paced[0] if paced and all(paced) else ""


@dataclass(frozen=True, slots=True)
class FoundBlob:
    """What there is of a wanted blob: whether it need not be brought, and the places that it is to be pushed to."""

    is_held: bool
    lacking: list[Place]
