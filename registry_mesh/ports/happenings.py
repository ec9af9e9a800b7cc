"""What happened to a repository, and where that is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from registry_mesh.oci.digest import Digest

PUSH: Final = "push"
"""A manifest was taken, or a tag was set."""
DELETE: Final = "delete"
"""A tag or a manifest was taken out."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened. `at` is in seconds since the epoch."""

    kind: str
    repository: str
    digest: Digest
    tags: Sequence[str] = ()
    """Those that were set, or went."""
    media_type: str = ""
    size: int | None = None
    by: str = ""
    at: float = 0.0


class Outbox(Protocol):
    """Takes what happened."""

    async def add(self, happening: Happening) -> None:
        """Keep it for those who want to know. Raises nothing: what happened has happened."""
        ...
