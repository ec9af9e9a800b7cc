"""Which parent is asked after the others, or not at all, for what it did lately."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cachetools import TTLCache

from registry_mesh.content.nest import hedges
from registry_mesh.content.nest.paces import Paces, Told
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.parents import Parent


@dataclass(frozen=True, slots=True)
class _Lies:
    """Of one parent about one digest."""

    told: int
    last: float
    reason: str
    """Of the last."""


class Distrusted:
    """Which parent sent wrong bytes for which digest, lately. Shared by all repositories of a process.

    A liar is asked after all others. One that lied `LIMIT` times is not asked for `PAUSE` seconds, and for twice as
    long after each further lie, up to `ttl`: the bytes may be right again soon, and where they are not, a large blob is
    not to be moved in vain again and again. One that lies about several blobs is asked after the others for any, as
    clients are cut off where a whole blob turns out to be wrong.

    Of several that sent parts of what was wrong nobody knows which lied. They are asked after the others, and another
    of them first each time: what comes of one alone convicts it, or is right. Where each was first and parts of several
    came all the same, all of them count as liars.
    """

    LIMIT: Final = 2
    PAUSE: Final = 5.0
    LATE: Final = 30.0
    """Seconds for which a parent that was late is asked after the others for things of that kind."""
    DOUBT: Final = 30.0
    """Seconds for which a parent that gave nothing of use of a blob is asked after the others for that one."""

    DOUBTS: Final = 3

    def __init__(
        self,
        ttl: float = 300.0,
        count: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        paced: Told | None = None,
        hedged: hedges.Told | None = None,
        left: Callable[[str, float], None] | None = None,
    ) -> None:
        """`count` is told of each lie, `paced` of rates, `hedged` of what came of asking two parents, `left` of who
        gave wrong bytes, or none, of several blobs: for how many seconds it is asked after the others."""
        self._ttl = ttl
        self._clock = clock
        self.hedges = hedges.Hedges(clock, hedged) if hedged is not None else hedges.Hedges(clock)
        self.paces = Paces(clock, paced) if paced is not None else Paces(clock)
        self._lies: TTLCache[tuple[str, Digest], _Lies] = TTLCache(10_000, ttl, timer=clock)
        self._count = count
        self._left = left
        self._late: TTLCache[tuple[str, str], bool] = TTLCache(10_000, self.LATE, timer=clock)
        self._doubted: TTLCache[str, int] = TTLCache(1000, self.DOUBT, timer=clock)
        self._doubts: TTLCache[tuple[str, Digest], float] = TTLCache(10_000, self.DOUBT, timer=clock)
        self._together: TTLCache[tuple[str, Digest], tuple[int, float]] = TTLCache(10_000, ttl, timer=clock)
        """How often a parent sent a part of what was wrong, beside others, and when last."""

    def note_late(self, names: Sequence[str], what: str) -> None:
        """Another answered before these did."""
        for name in names:
            self._late[name, what] = True

    def was_late(self, name: str, what: str) -> bool:
        """Whether another was quicker lately, where it was asked for `what`."""
        return (name, what) in self._late

    def is_slow(self, parent: Parent, what: str) -> bool:
        """Whether it was late with `what` lately, or its bodies are far slower than those of others, as any process of
        the node has seen."""
        outdone = what == "blobs" and self.paces.outdone(parent.name)
        return outdone or self.was_late(parent.name, what) or parent.outrun(what)

    def is_second_best(self, parent: Parent, what: str, digest: Digest | None) -> bool:
        """Whether it is asked after the others for what it did lately."""
        return self.is_slow(parent, what) or (digest is not None and self.suspects(parent.name, digest))

    def was_beaten(self, parent: Parent, what: str) -> None:
        """Another was so much quicker, or for the second time running: it is asked after the others for a while, by all
        processes of the node."""
        self.note_late([parent.name], what)
        parent.outran(what, self.LATE)

    def doubt(self, source: str, digest: Digest) -> None:
        """`source` gave nothing of use, and is no liar for that: for `DOUBT` seconds it is asked after the others."""
        if not source:
            return
        self.put_behind(source, digest)
        self._failed_a_blob(source)

    def _failed_a_blob(self, source: str) -> None:
        """Where it does so again and again it is asked after the others for any blob."""
        self._doubted[source] = self._doubted.get(source, 0) + 1
        if self._doubted[source] % self.DOUBTS == 0:
            pause = self.paces.leave(source)
            if self._left is not None:
                self._left(source, pause)

    def put_behind(self, source: str, digest: Digest) -> None:
        """For `DOUBT` seconds `source` is asked after the others for that one. It did nothing wrong."""
        self._doubts[source, digest] = self._clock()

    def doubted(self, source: str, digest: Digest) -> float:
        """When, on the clock; 0.0 where it is not."""
        together = self._together.get((source, digest), (0, 0.0))[1]
        return float(max(self._doubts.get((source, digest), 0.0), together))

    def blemish(self, source: str, digest: Digest) -> tuple[int, float]:
        """By which suspects are ordered: how often it lied, and when it was doubted last."""
        return self.lies(source, digest), self.doubted(source, digest)

    def note(self, source: str, digest: Digest, reason: str, *, counted: bool = True) -> None:
        """`source` names one parent or several, joined by a comma and a space, the one first that is to be asked alone
        now. What is not `counted` is left out as well: an answer that is none is no better than a wrong one."""
        names = list(filter(None, source.split(", ")))
        if len(names) > 1 and not self._was_each_first(names, digest):
            self._suspect_together(names, digest)
            return
        for name in names:
            if not self.lies(name, digest):
                self._failed_a_blob(name)
            self._lies[name, digest] = _Lies(self.lies(name, digest) + 1, self._clock(), reason)
            if counted:
                self.count(name)

    def _was_each_first(self, names: Sequence[str], digest: Digest) -> bool:
        return all(self._together.get((name, digest), (0, 0.0))[0] >= len(names) for name in names)

    def _suspect_together(self, names: Sequence[str], digest: Digest) -> None:
        """The one that was to give it first the last time, and did not give it alone, is asked last of them the next
        time."""
        turns = {name: self._together.get((name, digest), (0, 0.0)) for name in names}
        for name in sorted(names, key=lambda each: (-turns[each][1], self._doubts.get((each, digest), 0.0))):
            self._together[name, digest] = turns[name][0] + 1, self._clock()

    def count(self, name: str) -> None:
        """A parent's answer was wrong, whatever it was about."""
        if self._count is not None:
            self._count(name)

    def lies(self, source: str, digest: Digest) -> int:
        """How often the source has lied about the digest, as far as is remembered."""
        known = self._lies.get((source, digest))
        return known.told if known is not None else 0

    def reason(self, source: str, digest: Digest) -> str:
        """What it did wrong last; empty where that is nothing."""
        known = self._lies.get((source, digest))
        return known.reason if known is not None else ""

    def suspects(self, source: str, digest: Digest) -> bool:
        """Whether it is to be asked after those that are not."""
        return bool(self.lies(source, digest) or self.doubted(source, digest))

    def shunned(self, source: str, digest: Digest) -> bool:
        """Whether it is not to be asked now."""
        known = self._lies.get((source, digest))
        if known is None or known.told < self.LIMIT:
            return False
        pause = min(self._ttl, self.PAUSE * 2.0 ** min(known.told - self.LIMIT, 30))
        return self._clock() - known.last < pause
