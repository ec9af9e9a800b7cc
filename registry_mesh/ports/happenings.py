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
    """Takes what happened. Raises nothing: what happened has happened."""

    async def begin(self, happening: Happening) -> str:
        """Note what is about to happen, and give a name for it, by which it is told if this process does not live to
        `add` it; empty where nobody wants to know."""
        ...

    async def add(self, happening: Happening, begun: str = "") -> None:
        """Keep it for those who want to know. `begun`: what `begin` gave."""
        ...


class Journal(Protocol):
    """What of a change can be seen in the store."""

    async def happened(self, begun: Happening) -> Happening | None:
        """That of `begun` which happened; None where nothing of it did. Failures."""
        ...
