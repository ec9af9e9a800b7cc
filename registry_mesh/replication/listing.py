"""Repositories as they were at one time: at their source, or held by a node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.replication.decision import Place, TagFacts
from registry_mesh.replication.rules import Platforms


@dataclass(frozen=True, slots=True)
class Weight:
    """The blobs and manifests of what a tag names: digest to size in bytes; `platforms` says which are for which."""

    blobs: Mapping[str, int]
    platforms: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def of(self, platforms: Platforms) -> Mapping[str, int]:
        """Those that `platforms` need; what is for no platform is for all."""
        if platforms is None or not self.platforms:
            return self.blobs
        left = {
            digest
            for name, digests in self.platforms.items()
            if not any(name == str(each) or name.startswith(f"{each}/") for each in platforms)
            for digest in digests
        }
        kept = {
            digest
            for name, digests in self.platforms.items()
            if any(name == str(each) or name.startswith(f"{each}/") for each in platforms)
            for digest in digests
        }
        return {digest: size for digest, size in self.blobs.items() if digest in kept or digest not in left}


@dataclass(frozen=True, slots=True)
class Held:
    """What a node remembers of a tag that it holds: which rules wanted it, and since when it is gone at its source or
    wanted by none (seconds since the epoch)."""

    rules: tuple[str, ...] = ()
    gone: float | None = None
    unselected: float | None = None
    held_until: float | None = None
    """What a `hold` promised, infinity where it is for ever."""
    made_of: tuple[tuple[Place, Tag], ...] = ()
    """The tags of which rules made it, where it has another name than they."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One repository."""

    place: Place
    listed_at: float
    tags: Mapping[Tag, TagFacts]
    weights: Mapping[Tag, Weight] = field(default_factory=dict)
    held: Mapping[Tag, Held] = field(default_factory=dict)
    partial: frozenset[Tag] = frozenset()
    """Those of which something is lacking that rules left out; `weights` is of what is here."""
    error: str | None = None
    """Why it could not be listed."""


HeldPlaces = Mapping[tuple[RegistryName, RepositoryName], Recorded]
"""What a node holds, by registry and repository."""
