"""Takes down what workers tell of requests that were not answered as asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from registry_mesh.telemetry.events import Event, EventRing, Events


class HeardEvents:
    """Of the workers that write to `ring`. `unserved` is called with each registry that is not served here, the client
    that asked for it, and the time, in seconds since the epoch."""

    def __init__(self, ring: EventRing, unserved: Callable[[str, str, float], None]) -> None:
        self._ring = ring
        self._unserved = unserved
        self.events = Events()

    def hear(self) -> None:
        """Add what was told since the last time."""
        for told in self._ring.new():
            side, reason, subject, why, at = (
                str(told[key]) for key in ("side", "reason", "subject", "why", "at")
            )
            self.events.add(side, reason, subject, why, round(float(at), 3))
            if registry := str(told.get("unserved", "")):
                self._unserved(registry, str(told.get("client", "")), float(at))

    def newest_first(self) -> Sequence[Event]:
        """Refusals and failures up to now."""
        self.hear()
        return self.events.newest_first()
