"""What a tag weighs: the bytes of all that it names, for whichever platforms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from registry_mesh.replication.rules import Platforms, takes_platform


@dataclass(frozen=True, slots=True)
class Weight:
    """The blobs of what a tag names: digest to size in bytes; `platforms` says which are for which."""

    blobs: Mapping[str, int]
    platforms: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def of(self, platforms: Platforms) -> Mapping[str, int]:
        """Those that `platforms` need; what is for no platform is for all."""
        if platforms is None or not self.platforms:
            return self.blobs
        kept, left = set[str](), set[str]()
        for name, digests in self.platforms.items():
            (kept if takes_platform(platforms, name) else left).update(digests)
        left -= kept
        return {digest: size for digest, size in self.blobs.items() if digest not in left}

    def lacks_all(self, platforms: Platforms) -> bool:
        """Whether nothing of it is for `platforms`, though it is there for others."""
        return bool(self.blobs) and not self.of(platforms)
