"""What simulated parents are, but for what a test says of one."""

from __future__ import annotations


class Unhurried:
    """Another parent may be asked beside it, long after any answer has come. Part of `ports.parents.Parent`."""

    soon: float = 30.0
    hush: float = 60.0
    spare: bool = True
    mesh: bool | None = None
    received: int = 0
    inflight: int = 0

    def outran(self, what: str, seconds: float) -> None:
        """Nobody else is told."""

    def outrun(self, what: str) -> bool:
        """Nobody else knows it."""
        return False
