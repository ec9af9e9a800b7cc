"""Write points: the named moments between two steps that reach a disk, and before and after each request that changes
a bucket.

In production nothing happens there. A test arms a hook, kills the process at each point in turn, starts again
and looks whether it finds the old state or the new.
"""

from __future__ import annotations

from collections.abc import Callable

_hook: Callable[[str], None] | None = None


def reach(name: str) -> None:
    """The step called `name` is about to be made."""
    if _hook is not None:
        _hook(name)


def arm(hook: Callable[[str], None] | None) -> None:
    """Call `hook` at every point from now on (tests only)."""
    global _hook
    _hook = hook
