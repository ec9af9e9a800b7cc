"""Decides how old an answer may be (RFC 9111 section 4.2; RFC 5861 for the two stale windows)."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Verdict(enum.Enum):
    """What to do with an entry of some age."""

    FRESH = "serve it"
    STALE_NOW = "serve it, revalidate in the background"
    REVALIDATE = "ask first; serve it if the source cannot answer"
    OFFLINE = "ask first; serve it if no source can be reached at all"
    EXPIRED = "ask first; it is too old to serve whatever happens"


@dataclass(frozen=True, slots=True)
class Freshness:
    """How long an answer is good, in seconds."""

    ttl: float = 60.0
    stale_while_revalidate: float = 60.0
    stale_if_error: float = 7 * 86400.0
    negative_ttl: float = 10.0
    digest_negative_ttl: float = 0.0
    """As `negative_ttl`, of what is asked for by its digest; 0: its source is asked each time."""
    offline_grace: float = 30 * 86400.0
    """As `stale_if_error`, where no source can be reached at all; never less than that."""

    def judge(self, age: float, *, negative: bool = False, source_known: bool = True) -> Verdict:
        """`age` since the source last confirmed the entry; a clock that went back makes it fresh.

        While it is not known whether the source is alive (`source_known` False: just started, or failing) a
        stale entry is served at once and confirmed behind the client's back: a hung source must not hang it.
        """
        if negative:
            return Verdict.FRESH if age < self.negative_ttl else Verdict.EXPIRED
        if age < self.ttl:
            return Verdict.FRESH
        past = age - self.ttl
        if past < self.stale_while_revalidate:
            return Verdict.STALE_NOW
        if past < self.stale_if_error:
            return Verdict.REVALIDATE if source_known else Verdict.STALE_NOW
        if past < self.offline_grace:
            return Verdict.OFFLINE
        return Verdict.EXPIRED
