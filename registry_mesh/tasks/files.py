"""Files of the operator, to read: as they are on disk now, or as they were."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Protocol


def trace(path: str | Path) -> tuple[int, ...]:
    """Is another once the file may say something else. OSError. What unpacks and copies files gives them the time of
    their change that it likes, and a new file may have the number of the one it replaces: the kernel's own time of the
    change (ctime) is nobody's to set."""
    found = Path(path).stat()
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev


class Files(Protocol):
    """By the paths that the operator names. OSError for what is not there."""

    def data(self, path: str) -> bytes:
        """What a file says."""

    def within(self, folder: str) -> list[str]:
        """The paths of what lies in a folder, sorted."""

    def at(self, path: str) -> str:
        """Where to read a file, for what takes nothing but paths."""


class OnDisk:
    """Implements `Files`: as they are now."""

    def data(self, path: str) -> bytes:
        """See `Files`."""
        return Path(path).read_bytes()

    def within(self, folder: str) -> list[str]:
        """See `Files`."""
        return sorted(os.path.join(folder, name) for name in os.listdir(folder))

    def at(self, path: str) -> str:
        """The same path."""
        return path


ON_DISK: Final = OnDisk()


class Noted(OnDisk):
    """Implements `Files`: as they are now, and what they said is noted."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        """Of each file that was read."""
        self._elsewhere: set[str] = set()
        """Files that are read by what takes paths: at another moment than we do."""

    def data(self, path: str) -> bytes:
        """See `Files`. What may never end is not opened: a pipe, a socket or a device."""
        mode = Path(path).stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise OSError(errno.EINVAL, "a pipe, a socket or a device, which may never end", path)
        self.contents[path] = super().data(path)
        return self.contents[path]

    def at(self, path: str) -> str:
        """The same path."""
        self.data(path)
        self._elsewhere.add(path)
        return path

    @property
    def whole(self) -> bool:
        """Whether what was noted is what all have read: no file has changed meanwhile."""
        try:
            return all(super(Noted, self).data(path) == self.contents[path] for path in self._elsewhere)
        except OSError:
            return False


class InMemory:
    """A file in memory, for what takes nothing but paths; there until it is closed."""

    def __init__(self, data: bytes) -> None:
        self._file = os.fdopen(os.memfd_create("kept", os.MFD_CLOEXEC), "wb")
        self._file.write(data)
        self._file.flush()
        self.path = f"/proc/self/fd/{self._file.fileno()}"

    def close(self) -> None:
        """Nobody reads it any more."""
        self._file.close()


class Kept:
    """Implements `Files`: those with these contents. To be used within `kept`."""

    def __init__(self, contents: Mapping[str, bytes], open_files: ExitStack) -> None:
        self._contents = contents
        self._open = open_files

    def data(self, path: str) -> bytes:
        """See `Files`."""
        if path not in self._contents:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return self._contents[path]

    def within(self, folder: str) -> list[str]:
        """See `Files`."""
        return sorted(path for path in self._contents if Path(path).parent == Path(folder))

    def at(self, path: str) -> str:
        """A file in memory with the contents."""
        file = InMemory(self.data(path))
        self._open.callback(file.close)
        return file.path


@contextmanager
def kept(contents: Mapping[str, bytes]) -> Iterator[Kept]:
    """Files with these contents, for as long as they are read."""
    with ExitStack() as open_files:
        yield Kept(contents, open_files)
