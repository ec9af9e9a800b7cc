"""Where a run has a blob from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from registry_mesh.content.fill.rivals import Rivals, UnjudgedRivals
from registry_mesh.content.fill.via import NO_RIVALS
from registry_mesh.oci.reference import RegistryName
from registry_mesh.ports.blobs import BlobSource

RivalsOf = Callable[[RegistryName], Rivals]
"""The parents of a registry, one compared with the others."""


def no_rivals(registry: RegistryName) -> Rivals:
    """Nothing is known of its parents."""
    return NO_RIVALS


@dataclass(frozen=True, slots=True)
class Offer:
    """The blobs of a repository of `registry`. `paced`: they come as a budget of the rules lets them, which tells
    nothing of how fast the parents are."""

    blobs: BlobSource
    registry: RegistryName
    paced: bool = False

    def rivals(self, of: RivalsOf) -> Rivals:
        """What a stream of it is compared with."""
        found = of(self.registry)
        return UnjudgedRivals(found) if self.paced else found
