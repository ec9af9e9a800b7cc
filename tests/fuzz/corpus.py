"""What once went wrong, or might: a folder for each parser, a file for each text, replayed by every run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "corpus"


def kept(name: str) -> Iterator[bytes]:
    """The texts that are kept of a parser."""
    folder = FOLDER / name
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        yield path.read_bytes()


def keep(name: str, data: bytes) -> Path:
    """Keep a text, under a name by its content."""
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / hashlib.sha256(data).hexdigest()[:16]
    path.write_bytes(data)
    return path
