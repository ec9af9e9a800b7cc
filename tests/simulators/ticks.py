"""The steps in which kernels count the time of a file's last change: some milliseconds, but for the newest kernels."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from tests.eventually import eventually_here

_COARSE: Final = 5
"""CLOCK_REALTIME_COARSE, by which they are counted."""


def tick_after(path: Path) -> None:
    """Return once what changes the file gives it another time: within a step nobody can tell that it changed."""
    eventually_here(
        lambda: time.clock_gettime_ns(_COARSE) > path.stat().st_ctime_ns, "the next step", pause=0.001
    )
