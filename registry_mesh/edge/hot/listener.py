"""What the fast connections of one listener share: what they know, may and note."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from registry_mesh.auth.access import Verdict
from registry_mesh.edge import head
from registry_mesh.edge.hot.entries import MOMENT, NEVER, Right
from registry_mesh.edge.hot.recognise import Recogniser
from registry_mesh.edge.hot.tally import Tallies

if TYPE_CHECKING:
    from registry_mesh.edge.middleware import Ring

_ALLOW: Final = Verdict.ALLOW


class FastPath:
    """What the connections of one listener share."""

    def __init__(self, ring: Ring, loop: asyncio.AbstractEventLoop) -> None:
        self.ring = ring
        self.ids = ring.ids
        self.hot = ring.hot
        self.tallies = Tallies(ring.meters, loop)
        self.recogniser = Recogniser(ring.hot, self.tallies)
        self.log = ring.access_log.add_line
        self._policy = ring.settings.policy
        self.until = NEVER
        """The loop's time until which `common` and `stamp` hold."""
        self.common = b""
        """The lines from Date to X-Request-Id, up to the second half of the id."""
        self.stamp = ""
        """The beginning of a line in the access log, up to the same place."""

    def turn(self, now: float) -> None:
        """The clock has moved on."""
        self.until = now + MOMENT
        prefix = self.ring.prefix
        self.stamp = f'{{"time":{time.time():.3f},"id":"{prefix}-'
        self.common = (
            f"Date: {head.date()}\r\nDocker-Distribution-Api-Version: registry/2.0\r\nX-Request-Id: {prefix}-"
        ).encode()

    def ask(self, right: Right, now: float) -> bool:
        """Ask the policy, without credentials."""
        if self._policy.decide(None, right.asked).verdict is not _ALLOW:
            return False
        right.until = now + MOMENT
        return True
