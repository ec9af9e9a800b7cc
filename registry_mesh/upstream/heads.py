"""What a parent's answers to HEAD are worth.

HEAD is a hint. Some registries refuse it, some are reached through proxies or redirects that do, some state no length
or a wrong one. Where GET then says otherwise, GET is asked straight away for a while.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from typing import Final

from cachetools import TTLCache

from registry_mesh.oci.digest import Digest
from registry_mesh.ports.failures import (
    Failure,
    SourceDenied,
    SourceDown,
    SourceErred,
    SourceRefused,
    SourceThrottled,
    SourceUnavailable,
    SourceUnreadable,
)

DOUBT: Final = 3600.0
"""Seconds for which a HEAD that told nothing, where GET did, is remembered."""


COUNTED: Final = 300.0
"""Seconds for which a size that had to be counted is remembered."""


PASSING: Final = 300.0
"""The same where it may have been a moment's trouble (5xx, no answer): some registries count GET, and not HEAD."""

PATIENCE: Final = 3
"""The part of the time that an answer's head may take which HEAD is given, where GET can be asked instead."""

_OF_HEAD: Final = (SourceDenied, SourceErred, SourceRefused)
"""What any parent answers to HEAD, and perhaps to HEAD alone. A lie is one to GET as well."""


def leaves_it_to_get(fault: Failure, *, mesh: bool, available: bool = True) -> bool:
    """Return whether GET decides where HEAD failed so. `mesh`: it is a node of ours, whose HEAD is as good.
    `available`: requests go to the parent now."""
    if isinstance(fault, _OF_HEAD):
        return True
    if mesh or not available or isinstance(fault, SourceThrottled | SourceDown):
        return False
    return isinstance(fault, SourceUnavailable | SourceUnreadable)


class Asked(enum.Enum):
    """What HEAD is asked about; the two are answered by different parts of a registry."""

    MANIFESTS = "manifests"
    BLOBS = "blobs"


class Heads:
    """Remembers, of one parent, where HEAD was of no use."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[Asked, float] = {}
        self._named: TTLCache[Digest, None] = TTLCache(4096, PASSING, timer=clock)
        self.counted: TTLCache[Digest, int] = TTLCache(4096, COUNTED, timer=clock)
        """Sizes of blobs that neither HEAD nor GET tells, by reading them to their end."""
        self.packed: TTLCache[Digest, None] = TTLCache(4096, COUNTED, timer=clock)
        """Those of them that the parent compresses on the way."""
        self.labelled: TTLCache[Digest, None] = TTLCache(4096, COUNTED, timer=clock)
        """Blobs labelled as compressed that were taken as they came. Who asks again had not what he wanted."""

    def told(self, digest: Digest) -> None:
        """HEAD named `digest` for a tag."""
        self._named[digest] = None

    def missing(self, digest: Digest) -> None:
        """There is no `digest`: where it is HEAD that named it, GET is asked for a while."""
        if self._named.pop(digest, self) is None:
            self._until[Asked.MANIFESTS] = max(self._clock() + PASSING, self._until.get(Asked.MANIFESTS, 0.0))

    def worth(self, asked: Asked) -> bool:
        """Whether HEAD is to be asked."""
        return self._clock() >= self._until.get(asked, 0.0)

    def useless(self, asked: Asked, fault: Failure | None = None) -> None:
        """HEAD told nothing, by `fault` where it failed, and GET answered."""
        passing = fault is not None and not isinstance(fault, _OF_HEAD)
        self._until[asked] = self._clock() + (PASSING if passing else DOUBT)
