"""Where things lie below a disk store's root.

blobs/ALGORITHM/XX/HEX           a complete blob
blobs/ALGORITHM/XX/HEX.hold      its chunks' checksums, where it came in chunk by chunk (`hold_file`)
blobs/ALGORITHM/XX/HEX.chunks    its chunk map, where it has more than one chunk
partial/ALGORITHM/XX/HEX         a sparse file: some chunks of a blob
partial/ALGORITHM/XX/HEX.hold    which
quarantine/ALGORITHM-HEX         a blob that rotted where there is nobody to repair it from
records/                         small documents (`records`)
tmp/                             on their way in; locked by their owner, swept when it is gone
index/                           SQLite: what is of least use, sizes. May be deleted: it is rebuilt
run/                             locks and the ledger, worth nothing when nothing runs
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from registry_mesh.oci.digest import ALGORITHMS, Digest
from registry_mesh.ports.blobs import BlobInfo
from registry_mesh.stores.faults import translated

HOLD: Final = ".hold"
CHUNKS: Final = ".chunks"


@dataclass(frozen=True)
class Layout:
    """The paths below `root`."""

    root: Path

    @cached_property
    def blobs(self) -> Path:
        """Whole blobs, with what lies beside them."""
        return self.root / "blobs"

    @cached_property
    def partial(self) -> Path:
        """Partial blobs."""
        return self.root / "partial"

    @cached_property
    def quarantine(self) -> Path:
        """Blobs that were found rotten."""
        return self.root / "quarantine"

    @cached_property
    def records(self) -> Path:
        """Records, one a file."""
        return self.root / "records"

    @cached_property
    def tmp(self) -> Path:
        """Files that have no name of their own yet."""
        return self.root / "tmp"

    @cached_property
    def index(self) -> Path:
        """The database."""
        return self.root / "index" / "index.sqlite3"

    @cached_property
    def run(self) -> Path:
        """Locks and counts, of use only while processes run."""
        return self.root / "run"

    def directories(self) -> tuple[Path, ...]:
        """Those that must be there before anything else."""
        return (
            self.blobs,
            self.partial,
            self.quarantine,
            self.records,
            self.tmp,
            self.index.parent,
            self.run / "locks",
        )

    def blob(self, digest: Digest) -> Path:
        """A whole blob."""
        return self.blobs / digest.algorithm / digest.hex[:2] / digest.hex

    def blob_hold(self, digest: Digest) -> Path:
        """The table of a blob's hold, from before it was whole."""
        return self.blobs / digest.algorithm / digest.hex[:2] / (digest.hex + HOLD)

    def blob_chunks(self, digest: Digest) -> Path:
        """The chunk map of a whole blob."""
        return self.blobs / digest.algorithm / digest.hex[:2] / (digest.hex + CHUNKS)

    def part(self, digest: Digest) -> Path:
        """The bytes of a partial blob, with holes."""
        return self.partial / digest.algorithm / digest.hex[:2] / digest.hex

    def part_hold(self, digest: Digest) -> Path:
        """The table of a partial blob: the state of each chunk."""
        return self.partial / digest.algorithm / digest.hex[:2] / (digest.hex + HOLD)

    def rotten(self, digest: Digest) -> Path:
        """Where a rotten blob is put."""
        return self.quarantine / f"{digest.algorithm}-{digest.hex}"


def entries(directory: Path) -> Iterator[os.DirEntry[str]]:
    """What is in a directory; nothing where there is none."""
    try:
        scan = os.scandir(directory)
    except FileNotFoundError:
        return
    with scan:
        yield from scan


def blobs_of(layout: Layout) -> Iterator[BlobInfo]:
    """The complete blobs, as their files say. In a thread."""
    with translated("listing blobs"):
        for algorithm in ALGORITHMS:
            for board in entries(layout.blobs / algorithm):
                for entry in entries(Path(board.path)):
                    if "." not in entry.name:
                        with suppress(FileNotFoundError):
                            yield BlobInfo(Digest(algorithm, entry.name), entry.stat().st_size)
