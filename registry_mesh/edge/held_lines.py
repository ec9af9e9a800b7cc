"""Lines of the audit log that its disk does not take, as the node's figures have them."""

from __future__ import annotations

from registry_mesh.telemetry.instruments import Instruments
from registry_mesh.telemetry.names import AUDIT_HELD, AUDIT_LOST


class HeldLines:
    """Of one process."""

    def __init__(self, instruments: Instruments) -> None:
        self._held = instruments.gauge(AUDIT_HELD)
        self._lost = instruments.counter(AUDIT_LOST)

    def hold(self, lines: int) -> None:
        """So many are held now."""
        self._held.set(lines)

    def lose(self, lines: int) -> None:
        """So many more are lost."""
        self._lost.add(lines)
