"""Failures: which side could not do its part. Refusals (`oci.refusals`) say that the request was wrong;
failures say that something else was. Libraries' exceptions become one of these at the wall where they arise."""

from __future__ import annotations

from typing import TypeVar


class Failure(Exception):
    """Something beyond the request went wrong. `retry_after` is in seconds, where the side named one."""

    def __init__(self, reason: str, *, source: str = "", retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.source = source
        self.retry_after = retry_after

    @property
    def reason(self) -> str:
        """What went wrong, in words for a person."""
        return str(self.args[0])


E = TypeVar("E", bound=Exception)


def bare(failure: E) -> E:
    """`failure` without the frames that it came through, to be kept: they would keep alive all that they work with,
    buffers of megabytes among it, and each time it is raised anew there would be more of them."""
    failure.__context__ = failure.__cause__ = None
    return failure.with_traceback(None)


class SourceUnavailable(Failure):
    """The source did not answer: unreachable, timed out, 5xx, broken off."""


class SourceSlow(SourceUnavailable):
    """The source sends, and next to nothing. What has come is good; another source is to go on."""


class SourceDown(SourceUnavailable):
    """Nobody was asked: all are known to be down. To try again at once is of no use."""


class SourceRefused(SourceUnavailable):
    """The source answers, and does not do what was asked (400, 405, 501): to ask again is of no use."""


class NotHeld(SourceUnavailable):
    """It is not here, and nobody was to be asked for it."""


class SourceLoops(SourceDown):
    """The way to the source leads back to where the request has been: the nodes are each other's parents."""


class SourceErred(SourceUnavailable):
    """The source answers, and something went wrong on its side (500)."""


class SourceHung(SourceUnavailable):
    """The source is alive, and leaves such questions without an answer: to ask again at once is of no use."""


class SourceDiffers(SourceUnavailable):
    """The source names another size of a blob than the one that is being brought has. Which is right, the digest tells;
    nobody is blamed before."""


class SourceThrottled(SourceUnavailable):
    """The source asks us to come later (429)."""


class SourceDenied(Failure):
    """The source does not let us: 401 or 403. Says nothing of whether the thing exists."""


class LoginRefused(Failure):
    """The source does not take this node's own login, or the login is not at hand. Nothing a client can mend."""


class SourceLied(Failure):
    """The bytes, the length or the range that came are not what was asked for."""


class MapsDisputed(Failure):
    """Two sources gave chunk maps of one blob that cannot both be right. Which is wrong is not known."""


class MapUnusable(Failure):
    """The sources that have a chunk map of the blob gave none that can be used: a damaged one, or something else. The
    blob's bytes may be right."""


class SourceUnreadable(SourceLied):
    """What came is no answer: a page for a manifest, a list without names, a redirect to nowhere. No byte was wrong."""


class StoreFull(Failure):
    """No room: quota or disk. What is stored already is unharmed."""


class StoreBroken(Failure):
    """The disk or the bucket failed: read-only, vanished, input/output error."""


class StoreUnfit(StoreBroken):
    """The store answers, and is not ours to use as it is: no such bucket, no right to it, no folder. To try again at
    once is of no use; somebody has to change it or the configuration."""


class StoreForeign(StoreUnfit):
    """The store is another node's, or was written in a format that this version does not know."""


class StoreRotten(StoreBroken):
    """What was stored under a digest does not fit it any more; there are `size` bytes of it now."""

    def __init__(self, reason: str, size: int, *, source: str = "") -> None:
        super().__init__(reason, source=source)
        self.size = size


class SpanUnsatisfiable(Failure):
    """The span begins at or past the end of the blob, which has `size` bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the blob has {size} bytes")
        self.size = size
