"""Reading stored bytes again past everything that is remembered of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span


@dataclass(frozen=True, slots=True)
class Inspected:
    """A step of reading one blob: how many bytes, and which spans are not what they were. Those are held no more."""

    size: int
    rotten: tuple[Span, ...] = ()


class Inspectable(Protocol):
    """A store whose bytes can be read again past everything that is remembered of them."""

    def digests(self, after: Digest | None, stored_before: float) -> AsyncIterator[Digest]:
        """Every blob held, whole or in part, in the order of their digests, those that follow `after`. What is known to
        have been stored at `stored_before` (seconds since the epoch) or later is left out."""
        ...

    def inspect(self, digest: Digest) -> AsyncIterator[Inspected]:
        """Read what is held of it, in steps of at most 1 MiB. Nothing where it is held no more. `StoreBroken`."""
        ...
