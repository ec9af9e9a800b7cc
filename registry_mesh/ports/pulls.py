"""Records of pulls: what was fetched, by whom, where and on which day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

KINDS: Final = ("manifest", "blob")


@dataclass(frozen=True, slots=True)
class Pull:
    """Pulls of one thing by one caller on one day (UTC, as 2026-01-31). `who`: a subject, or the address of a client
    without one. `tag` is empty where the digest was asked for. `site`: the node that answered."""

    day: str
    site: str
    registry: str
    repository: str
    kind: str
    digest: str
    tag: str
    who: str
    pulls: int
    bytes: int


class PullRecords(Protocol):
    """Takes records of pulls."""

    async def take_over(self, pulls: Sequence[Pull]) -> None:
        """Note what another node counted, in full: a record that is there already is replaced. `StoreBroken`."""
        ...
