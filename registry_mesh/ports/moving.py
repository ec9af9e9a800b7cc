"""What moves at a node now: blobs on their way in, and bodies on their way out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MovingFill:
    """A blob on its way in, as one process sees it."""

    digest: str
    size: int
    held: int
    """Bytes that are here, whoever brought them."""
    parts: str
    """How much of each of its parts, all of one length, is here: a digit each, 0 nothing, 9 all of it."""
    fetched: int
    """Bytes that this process has brought."""
    places: tuple[str, ...]
    """`REGISTRY/REPOSITORY` that it was asked for in."""
    sources: tuple[str, ...]
    """The parents that bring it, or did."""
    whole_readers: int
    """Who follow it from its first byte to its last."""
    range_readers: int


@dataclass(frozen=True, slots=True)
class MovingBody:
    """A manifest or blob that is being sent to a client."""

    client: str
    subject: str
    """Empty for a client without a login."""
    place: str
    digest: str
    size: int
    """Bytes of the body: of the range that was asked for."""
    sent: int
    seconds: float
    """Since its first byte."""
    cache: str
    """hit, joined, miss or stale; empty at an origin."""
