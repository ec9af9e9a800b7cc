"""What a node knows of one parent: whether it answers, how fast, and what it is not to be asked now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from registry_mesh.ports.failures import SourceHung, SourceThrottled, SourceUnavailable
from registry_mesh.ports.urgency import urgency
from registry_mesh.telemetry.instruments import Counter
from registry_mesh.upstream.health.background import Background
from registry_mesh.upstream.health.board import Card
from registry_mesh.upstream.health.breaker import Breaker
from registry_mesh.upstream.health.hangs import Hangs
from registry_mesh.upstream.health.liveness import Liveness, Patience
from registry_mesh.upstream.health.opinion import LEADS_BACK
from registry_mesh.upstream.health.throttles import Throttles

LATE: Final = 0.7
"""Seconds to an answer's head after which another parent is asked as well; eight times the usual latency, if more."""

LATE_AT_FIRST: Final = 2.0
"""The same for a parent that has not answered yet: it may be far away."""

SOON: Final = 1.5
"""Times the peak of a parent's latencies, after which an answer's head is later than nearly all were."""

SOON_AT_FIRST: Final = 0.05
"""Seconds after which the head of a parent's first answer of all is later than usual."""

HUSH: Final = 0.1
"""Seconds in which a body may bring next to nothing; four times the usual latency, if more."""

HUSH_OF_CHUNKS: Final = 0.25
"""The same of a node of ours, which sends whole chunks of what is on its way to itself."""


class KnownParent:
    """Implements `ports.parents.Parent` for the parent at `url`. `ping` asks whether it answers; `received` gives
    what counts bytes of its bodies, by registry. `near`: see `Provenance.near`."""

    def __init__(
        self,
        name: str,
        url: str,
        ping: Callable[[], Awaitable[bool]],
        patience: Patience,
        card: Card,
        received: Callable[[str], Counter],
        near: str = "",
    ) -> None:
        self.name = name
        self.near = near
        self.url = url
        self.patience = patience
        self.card = card
        """Where the node's opinion of it is kept."""
        self.breaker = Breaker(card=card)
        self.liveness = Liveness(ping, patience, self.breaker, card)
        self.hangs = Hangs()
        self.throttles = Throttles(url, card)
        self.mesh: bool | None = None
        """Whether it is one of ours; None: it has not answered yet."""
        self.inflight = 0
        self.received = 0
        """Bytes of bodies, by this session."""
        self._counter = received
        self._counters: dict[str, Counter] = {}
        self._background = Background(name, card)
        self._unanswered = 0

    def __repr__(self) -> str:
        return f"<Parent {self.name} {self.breaker!r}>"

    @property
    def available(self) -> bool:
        """Whether requests go to the parent: it is not down, not silent, and does not lead back here."""
        return not self.breaker.open and not self.liveness.silent and not self.leads_back

    @property
    def reason(self) -> str:
        """See `ports.parents.Parent`."""
        if self.breaker.open:
            return self.breaker.told
        if self.leads_back:
            return LEADS_BACK
        return self.liveness.told if self.liveness.silent else ""

    @property
    def leads_back(self) -> bool:
        """Whether it is known to ask this node itself."""
        return self.card.known().leads_back

    @property
    def confirmed(self) -> bool:
        """Whether it has ever answered, and is not down."""
        return self.breaker.confirmed

    @property
    def lost(self) -> bool:
        """See `ports.parents.Parent`."""
        return self.breaker.lost

    @property
    def stall(self) -> float:
        """Seconds for which a body may stand still."""
        return self.patience.stall

    @property
    def drip(self) -> float:
        """Seconds for which a body may drip."""
        return self.patience.drip

    @property
    def distance(self) -> float:
        """See `ports.parents.Parent`."""
        return self.breaker.least

    @property
    def met_at(self) -> float:
        """When it told last what a ping is answered with: of a node of ours also whom it asks itself."""
        return self.card.known().named_at if self.mesh else self.breaker.last_success

    @property
    def hush(self) -> float:
        """See `ports.parents.Parent`."""
        return max(HUSH_OF_CHUNKS if self.mesh else HUSH, 4 * self.breaker.latency)

    @property
    def late(self) -> float:
        """See `ports.parents.Parent`."""
        usual = 8 * self.breaker.latency
        return max(LATE, usual) if usual else LATE_AT_FIRST

    @property
    def soon(self) -> float:
        """See `ports.parents.Spare`."""
        if not self.breaker.answered:
            return max(self.patience.soon, SOON_AT_FIRST)
        return max(self.patience.soon, SOON * self.breaker.peak)

    @property
    def spare(self) -> bool:
        """See `ports.parents.Spare`."""
        return not self.throttled and not self._background.saves

    def outran(self, what: str, seconds: float) -> None:
        """See `ports.parents.Spare`."""
        self.card.outran(what, seconds)

    def outrun(self, what: str) -> bool:
        """See `ports.parents.Spare`."""
        return self.card.outrun(what)

    @property
    def load(self) -> float:
        """What one more request is expected to cost: latency in seconds, times the requests under way and this one."""
        return (self.breaker.latency + 0.001) * (1 + self.inflight)

    @property
    def busy(self) -> bool:
        """See `ports.parents.Parent`."""
        return self._background.busy

    @property
    def throttled(self) -> bool:
        """Whether it asked to be left alone, and its time has not come."""
        return self.throttles.left(self.url) is not None

    def heard(self, size: int, registry: str = "") -> None:
        """Bytes of a body came from it, of something that `registry` was asked for."""
        counter = self._counters.get(registry)
        if counter is None:
            counter = self._counters[registry] = self._counter(registry)
        counter.add(size)
        self.received += size
        self.liveness.heard()
        if not urgency().background:
            self.card.serve()

    def admit(self, kind: str) -> None:
        """Raise where nothing, or nothing of that kind, is to be asked of it now: `SourceUnavailable`, and
        `SourceThrottled` where it asked for patience, or leaves no more than clients need."""
        if reason := self.hangs.refuses(kind):
            raise SourceHung(reason, source=self.name)
        self.leave_alone(self.url)
        if self._unanswered >= self.patience.unanswered:
            raise SourceUnavailable(f"leaves {self._unanswered} requests without an answer", source=self.name)
        self._background.admit(urgency())

    def leave_alone(self, url: str) -> None:
        """Raise `SourceThrottled` where the host of `url` asked for patience."""
        if (held := self.throttles.left(url)) is not None:
            status, left = held
            raise SourceThrottled(
                f"answered {status} and asked for patience, is asked again in {left:.0f} s",
                source=self.name,
                retry_after=left,
            )

    @contextmanager
    def asked(self) -> Iterator[Callable[[], None]]:
        """While a request is under way. What is given is called once the parent has answered it: head, and the first
        bytes of a body."""
        waiting = 1
        self._unanswered += 1

        def answered() -> None:
            nonlocal waiting
            self._unanswered -= waiting
            waiting = 0

        try:
            yield answered
        finally:
            answered()

    async def ping(self) -> bool:
        """Whether the parent answers at all, soon; one ping is out at a time."""
        return await asyncio.shield(self.liveness.check())

    async def answers(self) -> bool:
        """Whether the parent answers a ping before it is taken for silent."""
        return await self.liveness.answers()

    async def back(self) -> bool:
        """See `ports.parents.Parent`."""
        if self.throttled or self.leads_back:
            return False
        return await self.liveness.back()
