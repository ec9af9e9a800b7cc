"""What must have reached the disk before what: the fsync policy and the calls that keep it."""

from __future__ import annotations

import enum
import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_ATTEMPTS: Final = 1_000


class DiskFsync(enum.Enum):
    """When a store waits for the disk. A process that dies loses nothing under any of them: this is about power
    cuts and kernel panics only.

    | policy | blobs and records | chunks of partial blobs |
    |---|---|---|
    | `always` | synced before they are visible | synced with every write |
    | `commit` | synced before they are visible | synced every 32 MiB and on close; a crash forgets the rest |
    | `never` | left to the kernel; a loss is found on first touch | a crash forgets them |
    """

    ALWAYS = "always"
    COMMIT = "commit"
    NEVER = "never"

    def sync_data(self, fd: int) -> None:
        """Wait until the file's bytes would survive a power cut, unless the policy is NEVER."""
        if self is not DiskFsync.NEVER:
            os.fdatasync(fd)

    def sync_entry(self, directory: Path) -> None:
        """Make the names in `directory` durable."""
        if self is DiskFsync.NEVER:
            return
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def make_directory(self, directory: Path) -> None:
        """`directory` and its parents, their names durable. Others may remove empty ones meanwhile."""
        for _ in range(_ATTEMPTS):
            if directory.is_dir():
                return
            missing = [directory]
            while not missing[-1].parent.is_dir():
                missing.append(missing[-1].parent)
            with suppress(FileNotFoundError, FileExistsError):
                for each in reversed(missing):
                    each.mkdir(exist_ok=True)
                    self.sync_entry(each.parent)
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(directory))
