"""Takes down what workers tell of requests that were not answered as asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from registry_mesh.telemetry.events import Event, EventRing, Events


class HeardEvents:
    """Of the workers that write to `ring`. `unserved` is called with each registry that is not served here, the client
    that asked for it, and the time, in seconds since the epoch; `unkept` with the repository, digest and size of a blob
    that is larger than the store, how many times it passed, and the time."""

    def __init__(
        self,
        ring: EventRing,
        unserved: Callable[[str, str, float], None],
        unkept: Callable[[str, str, int, int, float], None],
    ) -> None:
        self._ring = ring
        self._unserved = unserved
        self._unkept = unkept
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
            if isinstance(blob := told.get("unkept"), dict):
                size, times = int(blob["size"]), int(blob["times"])
                self._unkept(str(blob["repository"]), str(blob["digest"]), size, times, float(at))

    def newest_first(self) -> Sequence[Event]:
        """Refusals and failures up to now."""
        self.hear()
        return self.events.newest_first()
