"""Files that another reads, or writes, at any moment: never in part."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Whoever reads meanwhile finds what was there, or this: as editors and deployments do it."""
    new = (
        path.parent.parent / f".{path.name}.{os.getpid()}.new"
    )  # not where somebody may look for whatever is there
    new.write_text(text)
    new.replace(path)


def whole_lines(path: Path) -> list[str]:
    """Those that have an end: of what crosses a page of the file, a reader may see the half."""
    return [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
