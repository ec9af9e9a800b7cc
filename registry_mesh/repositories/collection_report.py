"""What a collection found and did, for operators."""

from __future__ import annotations

from dataclasses import dataclass, field

from registry_mesh.oci.reference import RepositoryName


@dataclass
class RepositoryReport:
    """One repository: its size, and what of it nothing refers to (bytes; shared blobs count in each)."""

    bytes: int = 0
    loose: int = 0
    loose_bytes: int = 0
    remembered: int = 0
    """Kept because a tag pointed at it, or it was deleted lately: for the way back."""
    remembered_bytes: int = 0


@dataclass
class CollectionReport:
    """The whole store. `removed` and `removable` count digests whose bytes go, or would in a real run; `waiting`
    those whose grace is not over, `spared` those that came into use meanwhile."""

    repositories: dict[RepositoryName, RepositoryReport] = field(default_factory=dict)
    dry_run: bool = False
    removable: int = 0
    removable_bytes: int = 0
    removed: int = 0
    removed_bytes: int = 0
    waiting: int = 0
    waiting_bytes: int = 0
    fresh: int = 0
    """Of those that wait: not seen loose before."""
    elsewhere: int = 0
    """Loose in one repository, and in use by another."""
    spared: int = 0
    uploads_expired: int = 0
    tags_forgotten: int = 0

    @property
    def done(self) -> str:
        """What was removed, in words."""
        return f"removed {self.removed} ({self.removed_bytes} bytes)"
