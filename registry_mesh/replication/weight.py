"""What a tag weighs: the bytes of all that it names, for whichever platforms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from registry_mesh.replication.rules import Platforms


@dataclass(frozen=True, slots=True)
class Weight:
    """The blobs of what a tag names: digest to size in bytes; `platforms` says which are for which."""

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
