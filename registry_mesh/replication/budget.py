"""Budgets: how much of a link, a second or a day the bytes of a rule may take."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from registry_mesh.replication.sentences import size


@dataclass(frozen=True, slots=True)
class Budget:
    """A share of what the node grants to replication, or `size` bytes in `seconds`."""

    share: float | None = None
    size: int = 0
    seconds: float = 1.0

    def __str__(self) -> str:
        if self.share is not None:
            return f"{self.share * 100:g}%"
        return f"{size(self.size)}/{ {3600.0: 'h', 86400.0: 'd'}.get(self.seconds, 's') }"

    def rate(self, granted: float) -> float:
        """Bytes a second, where the node grants `granted`."""
        return granted * self.share if self.share is not None else self.size / self.seconds


def rate(budgets: Iterable[Budget], granted: float) -> float:
    """Bytes a second under all of `budgets`."""
    return min((each.rate(granted) for each in budgets), default=granted)
