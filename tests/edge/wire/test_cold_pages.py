"""What is remembered of pages in memory, and when nothing is."""

from __future__ import annotations

import os
from pathlib import Path

from registry_mesh.edge.wire.cold_pages import BLOCK, DISTRUST, REMEMBERED, Pages, Pressure

SIZE = 3 * BLOCK


def pages_of(path: Path, pressure: Pressure, now: float) -> Pages:
    fd = os.open(path, os.O_RDONLY)
    pages = Pages(SIZE, pressure)
    pages.begin(fd, now)
    return pages


def test_pages_once_seen_are_remembered_for_a_while(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(SIZE))
    pages = pages_of(path, Pressure(), 0.0)
    assert pages.see(0, BLOCK + 1, 1.0)
    assert list(pages.warm) == [1, 1, 0]
    other = os.open(path, os.O_RDONLY)
    pages.begin(other, 1.0)
    assert not any(pages.warm), "another file"
    assert pages.see(0, SIZE, 1.0)
    pages.begin(other, 1.0 + REMEMBERED)
    assert not any(pages.warm), "too long ago"


def test_a_cold_page_makes_one_listener_forget_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(SIZE))
    here, there = Pressure(), Pressure()
    cold = Pages(SIZE, here)
    cold.begin(-1, 0.0)  # a file whose pages nobody can tell of
    assert not cold.see(0, 1, 1.0)
    near, far = pages_of(path, here, 1.0), pages_of(path, there, 1.0)
    assert near.see(0, BLOCK, 2.0) and far.see(0, BLOCK, 2.0)
    assert (near.warm[0], far.warm[0]) == (0, 1)
    assert near.see(0, BLOCK, 1.0 + DISTRUST)
    assert near.warm[0] == 1
