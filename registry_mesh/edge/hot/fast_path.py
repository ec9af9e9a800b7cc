"""What the fast connections of one listener share: what they know, may and note."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from registry_mesh.auth.access import Verdict
from registry_mesh.edge import head
from registry_mesh.edge.hot.blob import MOMENT
from registry_mesh.edge.hot.callers import NEVER, Caller, Right
from registry_mesh.edge.hot.entries import Hot
from registry_mesh.edge.hot.layouts import Given
from registry_mesh.edge.hot.recognise import Recogniser
from registry_mesh.edge.hot.seconds import Seconds
from registry_mesh.edge.hot.tally import Tallies
from registry_mesh.edge.traffic import Traffic
from registry_mesh.telemetry.traces import Tracing

_ALLOW: Final = Verdict.ALLOW
SAMPLED: Final = 1.0
"""Seconds from one hit that may be recorded in a trace to the next; what is part of one comes besides."""
REPOSITORIES: Final = 256
"""Rights remembered for one caller."""


class FastPath:
    """What the connections of one listener share."""

    def __init__(self, traffic: Traffic, hot: Hot, loop: asyncio.AbstractEventLoop) -> None:
        self.traffic = traffic
        self.ids = traffic.ids
        self.hot = hot
        self.callers = hot.callers
        self.tallies = Tallies(traffic.meters, loop)
        self.recogniser = Recogniser(hot, self.tallies)
        self.known = self.recogniser.known
        self.log = traffic.access_log.quickly
        self.pulled = traffic.pulled
        self.client_limits = traffic.client_limits
        self._policy = traffic.settings.policy
        self.generation = self._policy.generation
        """Of the policy, as it was within the last `MOMENT`."""
        self.until = NEVER
        """The loop's time until which `common` and `stamp` hold."""
        self.recording = False
        """Whether hits that are part of a recorded trace are left to the slow path, which makes their spans."""
        self._seconds = Seconds()
        self._sampled = 0.0
        """The loop's time from which on another hit is left to it."""
        self.common = b""
        """The lines from Date to X-Request-Id, up to the second half of the id."""
        self.stamp = ""
        """The beginning of a line in the access log, up to the same place."""
        self.common_given = b""
        self.stamp_given = ""
        """The same of requests that give their id, up to it."""

    def turn(self, now: float) -> None:
        """The clock has moved on."""
        self.until = now + MOMENT
        self.generation = self._policy.generation
        self.records()
        self.traffic.access_log.look()
        prefix = self.traffic.prefix
        self.stamp_given = f'{{"time":{time.time():.3f},"id":"'
        self.stamp = f"{self.stamp_given}{prefix}-"
        common = f"Date: {head.date()}\r\nDocker-Distribution-Api-Version: registry/2.0\r\nX-Request-Id: "
        self.common_given = common.encode()
        self.common = f"{common}{prefix}-".encode()

    def records(self) -> bool:
        """Whether one more hit may be recorded, now."""
        self.recording = Tracing.tracer is not None and self.traffic.hits.has(time.monotonic())
        return self.recording

    def names(self, given: Given) -> tuple[bytes, str]:
        """The head's lines from Date on, and the beginning of the log's line, both up to the end of the id."""
        if id := given[0]:
            return self.common_given + id, self.stamp_given + id.decode()
        number = next(self.ids)
        return self.common + b"%x" % number, f"{self.stamp}{number:x}"

    def allows(self, caller: Caller | None, right: Right, now: float) -> bool:
        """Whether the caller, None for one without credentials, may have what needs the right, and by this path."""
        if now >= self.until:
            self.turn(now)
            if self.recording and now >= self._sampled:
                self._sampled = now + SAMPLED
                return False
        if caller is None:
            return now < right.until or self._ask(right)
        if caller.generation == self.generation:
            if right is caller.right:
                if now < caller.until:
                    return True
            elif now < caller.rights.get(right, NEVER):
                caller.right, caller.until = right, caller.rights[right]
                return True
        return self._ask_for(caller, right, now)

    def _ask(self, right: Right) -> bool:
        """Ask the policy, without credentials."""
        if self._policy.decide(None, right.asked).verdict is not _ALLOW:
            return False
        right.until = self.until  # one that finds it good finds good what `turn` makes, too
        return True

    def _ask_for(self, caller: Caller, right: Right, now: float) -> bool:
        """Ask the policy for a caller with credentials. The answer holds until the second in which they end, or the
        policy changes."""
        if caller.generation != self.generation or len(caller.rights) >= REPOSITORIES:
            caller.rights.clear()
            caller.right = None
            caller.generation = self.generation
        decision = self._policy.decide(caller.authorization, right.asked)
        if decision.verdict is not _ALLOW:
            return False
        caller.right = right
        caller.until = caller.rights[right] = self._seconds.at(now + (decision.until - time.time()))
        return True
