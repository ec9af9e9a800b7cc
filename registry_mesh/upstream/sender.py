"""What an answer is told by: the parent that sent it."""

from __future__ import annotations

from typing import Protocol


class Floor(Protocol):
    """How slow a body may be."""

    @property
    def stall(self) -> float:
        """Seconds for which a body may stand still."""
        ...

    @property
    def drip(self) -> float:
        """Seconds for which a body may drip (`floor`)."""
        ...


class Traffic(Protocol):
    """What is on its way from a parent, and what came."""

    @property
    def received(self) -> int:
        """Bytes of all its bodies so far."""
        ...

    @property
    def inflight(self) -> int:
        """Requests to it that are under way, their bodies included."""
        ...

    def heard(self, size: int, registry: str = "") -> None:
        """Note that `size` bytes of a body came, of something of `registry`."""
        ...


class Sender(Floor, Traffic, Protocol):
    """A parent, as the body of one of its answers knows it."""

    @property
    def name(self) -> str:
        """What operators call it."""
        ...

    @property
    def near(self) -> str:
        """See `Provenance.near`: empty for a parent."""
        ...
