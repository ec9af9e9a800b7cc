"""What really lies in a disk store, looked at from outside: bytes against the truth, files against what counts them."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from registry_mesh.chunks.chunk_map import chunk_span
from registry_mesh.oci.digest import Digest
from registry_mesh.stores.disk import hold_file
from registry_mesh.stores.disk.layout import CHUNKS, HOLD, Layout


@dataclass(frozen=True, slots=True)
class Part:
    """A partial blob: the chunks that it says it holds, and those of them that were synced."""

    size: int
    held: frozenset[int]
    synced: frozenset[int]


class StoreFiles:
    """The files below `root`, which nobody changes meanwhile."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.layout = Layout(root)

    def blobs(self) -> dict[Digest, Path]:
        """The complete ones."""
        return {digest: self.layout.blob(digest) for digest in _digests(self.layout.blobs)}

    def parts(self) -> dict[Digest, Part]:
        found = {}
        for digest in _digests(self.layout.partial):
            table = self.layout.part_hold(digest)
            size = hold_file.stated_size(table) if table.exists() else None
            if size is not None:
                found[digest] = _part(table.read_bytes(), size)
        return found

    def wrong(self, truth: Mapping[Digest, bytes]) -> list[str]:
        """What is there and differs from the truth."""
        found = []
        for digest, path in self.blobs().items():
            if digest in truth and path.read_bytes() != truth[digest]:
                found.append(f"{digest}, complete")
        for digest, part in self.parts().items():
            if digest not in truth:
                continue
            data = self.layout.part(digest).read_bytes()
            for index in part.held:
                span = chunk_span(index, part.size)
                if data[span.start : span.stop] != truth[digest][span.start : span.stop]:
                    found.append(f"{digest}, chunk {index} of a part")
        return found

    def orphans(self) -> list[str]:
        """Files that no row of the index is about, and rows that no file is there for."""
        index = sqlite3.connect(f"file:{self.layout.index}?mode=ro", uri=True)
        with contextlib.closing(index):
            rows = {row[0].hex() for row in index.execute("SELECT key FROM blobs")}
        named = {
            path.name.removesuffix(HOLD).removesuffix(CHUNKS)
            for place in (self.layout.blobs, self.layout.partial)
            for path in place.rglob("*")
            if path.is_file()
        }
        left = [str(path.relative_to(self.root)) for path in self.layout.tmp.iterdir()]
        return [
            *(f"no row: {name}" for name in named - rows),
            *(f"no file: {row}" for row in rows - named),
            *left,
        ]

    def taken(self) -> int:
        """Bytes that the file system gave to blobs, whole, partial, rotten and on their way."""
        places = (self.layout.blobs, self.layout.partial, self.layout.quarantine, self.layout.tmp)
        blocks: dict[int, int] = {}
        for place in places:
            for path in place.rglob("*"):
                with contextlib.suppress(FileNotFoundError):
                    if path.is_file():
                        status = path.stat()
                        blocks[status.st_ino] = status.st_blocks * 512
        return sum(blocks.values())


def contents(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """All that lies below `root`, by path: mode and, of a file, when it was changed (ns) and its bytes."""
    found = {}
    for path in root.rglob("*"):
        status = path.lstat()
        file = path.is_file()
        found[str(path.relative_to(root))] = (
            status.st_mode,
            status.st_mtime_ns if file else 0,
            path.read_bytes() if file else b"",
        )
    return found


def _digests(place: Path) -> Iterator[Digest]:
    for path in place.rglob("*"):
        if path.is_file() and "." not in path.name:
            yield Digest(path.parent.parent.name, path.name)


def _part(table: bytes, size: int) -> Part:
    start, length = hold_file.records_at(0, (len(table) - 64) // 8)
    records = table[start : start + length]
    held = frozenset(i for i, state in enumerate(records[0::8]) if state)
    synced = frozenset(i for i, each in enumerate(records[2::8]) if each)
    return Part(size, held, synced)
