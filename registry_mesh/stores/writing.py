"""Writing to files."""

from __future__ import annotations

import os
from collections.abc import Sequence


def write_all(fd: int, pieces: Sequence[bytes | memoryview], offset: int) -> None:
    """All of `pieces` from `offset` on, however little a call takes."""
    views = [memoryview(piece) for piece in pieces if piece]
    while views:
        done = os.pwritev(fd, views[:1024], offset)
        offset += done
        while views and done >= len(views[0]):
            done -= len(views.pop(0))
        if done:
            views[0] = views[0][done:]
