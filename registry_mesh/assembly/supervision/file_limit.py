"""How many files a process may have open: connections, blobs that are read, blobs that are hot."""

from __future__ import annotations

import resource
from typing import Final

HOT: Final = 2
"""One in so many may be a hot blob's."""


def raise_limit() -> int:
    """Up to what the administrator allows (the hard limit; the soft one is 1,024 in many places, for the sake of
    programs that use select). Gives what holds then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return limit()


def limit() -> int:
    """How many files this process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
