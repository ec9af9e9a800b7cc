"""Records on a disk: one file a document.

A key's components are directories, its last one a file with `SUFFIX`, so that `a` and `a/b` may both be keys.
Components are escaped where they could be mistaken. A directory goes with its last entry; `children` never names
a prefix without keys.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from registry_mesh.ports.records import components
from registry_mesh.stores import points
from registry_mesh.stores.disk import temporary
from registry_mesh.stores.disk.durability import DiskFsync
from registry_mesh.stores.faults import translated
from registry_mesh.stores.writing import write_all
from registry_mesh.tasks.threads import offload

SUFFIX: Final = ".rec"
_BATCH: Final = 1_000


def _escape(component: str) -> str:
    component = component.replace("%", "%25")
    return component.removesuffix(SUFFIX) + "%2Erec" if component.endswith(SUFFIX) else component


def _unescape(name: str) -> str:
    return name.replace("%2Erec", SUFFIX).replace("%25", "%") if "%" in name else name


class DiskRecords:
    """Implements `ports.blobs.Records` below `root`; `tmp` is on the same file system."""

    def __init__(self, root: Path, tmp: Path, fsync: DiskFsync = DiskFsync.COMMIT) -> None:
        self._root = root
        self._tmp = tmp
        self._fsync = fsync

    def __repr__(self) -> str:
        return f"<records in {self._root}>"

    async def get(self, key: str) -> bytes | None:
        return await offload(self._get, self._path(key))

    async def put(self, key: str, data: bytes) -> None:
        await offload(self._place, self._path(key), data, True)

    async def create(self, key: str, data: bytes) -> bool:
        return await offload(self._place, self._path(key), data, False)

    async def delete(self, keys: Sequence[str]) -> None:
        await offload(self._delete, [self._path(key) for key in keys])

    async def children(self, prefix: str, after: str = "", limit: int | None = None) -> list[str]:
        return await offload(self._children, self._directory(prefix), after, limit)

    async def walk(self, prefix: str, before: float | None = None) -> AsyncIterator[str]:
        keys = self._walk(self._directory(prefix), prefix, before)
        while batch := await offload(lambda: list(islice(keys, _BATCH))):
            for key in batch:
                yield key

    def _path(self, key: str) -> Path:
        *parents, last = components(key)
        return self._root.joinpath(*map(_escape, parents), _escape(last) + SUFFIX)

    def _directory(self, prefix: str) -> Path:
        if not prefix:
            return self._root
        if not prefix.endswith("/"):
            raise ValueError(f"a prefix ends in /: {prefix!r}")
        return self._root.joinpath(*map(_escape, components(prefix[:-1])))

    def _get(self, path: Path) -> bytes | None:
        with translated("reading a record"):
            try:
                return path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def _place(self, path: Path, data: bytes, replace: bool) -> bool:
        """Finish a temporary file, then give it its name: a reader sees all of it or nothing."""
        with translated("writing a record"):
            fd, temporary_path = self._temporary()
            try:
                with os.fdopen(fd, "wb", buffering=0) as file:
                    points.reach("record.write")
                    write_all(file.fileno(), [data], 0)
                    points.reach("record.sync")
                    self._fsync.sync_data(file.fileno())
                    return self._name(temporary_path, path, replace)
            finally:
                temporary_path.unlink(missing_ok=True)

    def _temporary(self) -> tuple[int, Path]:
        try:
            return temporary.create(self._tmp, counted=False)
        except FileNotFoundError:  # the store's directory vanished and may be back
            self._fsync.make_directory(self._tmp)
            return temporary.create(self._tmp, counted=False)

    def _name(self, source: Path, path: Path, replace: bool) -> bool:
        while True:
            try:
                points.reach("record.name")
                if replace:
                    source.replace(path)
                else:
                    os.link(source, path)
                break
            except FileExistsError:
                return False
            except FileNotFoundError:  # no directory yet, or a delete has just taken it
                if not source.exists():
                    raise
                self._fsync.make_directory(path.parent)
        points.reach("record.sync_entry")
        self._sync_quietly(path.parent)
        return True

    def _delete(self, paths: Sequence[Path]) -> None:
        with translated("deleting a record"):
            for path in paths:
                points.reach("record.delete")
                try:
                    path.unlink()
                except (FileNotFoundError, NotADirectoryError):
                    continue
                self._sync_quietly(path.parent)
                self._drop_empty(path.parent)

    def _sync_quietly(self, directory: Path) -> None:
        try:
            self._fsync.sync_entry(directory)
        except FileNotFoundError:  # a delete took the directory, being empty
            return

    def _drop_empty(self, directory: Path) -> None:
        while directory != self._root:
            try:
                directory.rmdir()
            except OSError:  # not empty, or gone
                return
            directory = directory.parent

    def _children(self, directory: Path, after: str, limit: int | None) -> list[str]:
        """Whether a directory has keys below is asked of those alone that are given: it is what costs."""
        with translated("listing records"):
            entries = list(_entries(directory))
            keys = {name for name, below in entries if below is None}
            ways = {name: below for name, below in entries if below is not None and name not in keys}
            names = (name for name in sorted(keys | ways.keys()) if name > after)
            return list(islice((name for name in names if name in keys or _leads_on(ways[name])), limit))

    def _walk(self, directory: Path | str, prefix: str, before: float | None) -> Iterator[str]:
        with translated("listing records"):
            for name, below in _entries(directory, before):
                if below is None:
                    yield prefix + name
                else:
                    yield from self._walk(below, f"{prefix}{name}/", before)


def _entries(directory: Path | str, before: float | None = None) -> Iterator[tuple[str, str | None]]:
    """The next components, and for those that lead on, where. Of documents those written before `before`."""
    try:
        scan = os.scandir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return
    with scan:
        for entry in scan:
            if entry.is_dir(follow_symlinks=False):
                yield _unescape(entry.name), entry.path
            elif entry.name.endswith(SUFFIX) and (before is None or _is_older(entry, before)):
                yield _unescape(entry.name.removesuffix(SUFFIX)), None


def _leads_on(directory: str) -> bool:
    """Whether there is a key below: a record that is just being made, or never was, leaves a directory without."""
    return any(below is None or _leads_on(below) for _, below in _entries(directory))


def _is_older(entry: os.DirEntry[str], moment: float) -> bool:
    try:
        return entry.stat(follow_symlinks=False).st_mtime < moment
    except FileNotFoundError:
        return False
