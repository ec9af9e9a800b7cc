"""What the C library's memory allocator is told, before the first thread."""

from __future__ import annotations

import ctypes
from typing import Final

ARENAS: Final = 2
"""Heaps for all threads together. glibc gives up to 8 a core, and none of them ever shrinks below what it once was: a
worker's threads held 60 MiB in 15 of them after half an hour, and more each minute. Threads here wait for the
interpreter's lock more than for each other's heap."""

_M_ARENA_MAX: Final = -8


def few_arenas() -> bool:
    """Have threads share heaps; False where the C library knows no such thing (musl)."""
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS))
    except (AttributeError, OSError):
        return False
