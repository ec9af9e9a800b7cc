"""What clients were sent, by registry and by where it came from: added up beside the requests.

A request counts what it sent as had from the store or not. What was not came in by fills, of which siblings and parents
gave a part each: within each look what was sent is shared out as what was received.
"""

from __future__ import annotations

from typing import Final

from registry_mesh.telemetry import names
from registry_mesh.telemetry.instruments import Instruments, Table

_OWN: Final = ("blob", "manifest")
"""End points of an origin whose bodies are content."""


class Served:
    """Of one node; `instruments` are its row of `table`. `own`: an origin's registry, which is no cache."""

    def __init__(self, table: Table, instruments: Instruments, own: str = "") -> None:
        self._table = table
        self._instruments = instruments
        self._own = own
        self._received: dict[str, tuple[float, float]] = {}

    def look(self) -> None:
        """Add what is new."""
        told, shares = self._told(), self._shares()
        for registry, (kept, brought) in self._sent().items():
            self._add(registry, "store", kept - told.get((registry, "store"), 0))
            others = told.get((registry, "sibling"), 0) + told.get((registry, "parent"), 0)
            siblings = int((brought - others) * shares.get(registry, 0.0))
            self._add(registry, "sibling", siblings)
            self._add(registry, "parent", brought - others - siblings)

    def _told(self) -> dict[tuple[str, ...], int]:
        return {each.labels: int(each.value) for each in self._table.used(names.SERVED_BYTES)}

    def _sent(self) -> dict[str, tuple[int, int]]:
        """Bytes by registry: of what was here, and of what was brought."""
        if self._own:
            sent = self._table.used(names.SENT_BYTES)
            return {self._own: (int(sum(each.value for each in sent if each.labels[0] in _OWN)), 0)}
        found: dict[str, tuple[int, int]] = {}
        for each in self._table.used(names.CACHE_BYTES):
            registry, _, result = each.labels
            kept, brought = found.get(registry, (0, 0))
            is_here = result in ("hit", "stale", "bucket")
            found[registry] = (kept + int(each.value) * is_here, brought + int(each.value) * (not is_here))
        return found

    def _shares(self) -> dict[str, float]:
        """By registry what siblings gave of all that was received for it since the last look."""
        before, self._received = self._received, self._totals()
        shares = {}
        for registry, totals in self._received.items():
            then = before.get(registry, (0.0, 0.0))
            new = [max(0.0, total - earlier) for total, earlier in zip(totals, then, strict=True)]
            shares[registry] = new[0] / sum(new) if sum(new) else 0.0
        return shares

    def _totals(self) -> dict[str, tuple[float, float]]:
        """Bytes received by registry: from siblings, and from parents."""
        found: dict[str, tuple[float, float]] = {}
        for each in self._table.used(names.SIBLING_BYTES, names.UPSTREAM_BYTES):
            siblings, parents = found.get(each.labels[0], (0.0, 0.0))
            if each.metric is names.SIBLING_BYTES:
                siblings += each.value
            else:
                parents += each.value
            found[each.labels[0]] = (siblings, parents)
        return found

    def _add(self, registry: str, source: str, amount: int) -> None:
        if amount > 0:
            self._instruments.counter(names.SERVED_BYTES, registry, source).add(amount)
