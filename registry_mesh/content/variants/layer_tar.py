"""A layer as the tar that it is, uncompressed, in a file without a name: nothing stays of it when a process dies."""

from __future__ import annotations

import os
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, Final, Protocol

BLOCK: Final = tarfile.BLOCKSIZE
MOST: Final = 200
"""How many times its size a layer may be when it is unpacked."""
_LEAST: Final = 64 << 20
"""Bytes that any layer may be."""
_PIECE: Final = 1 << 20
_TOO_MUCH: Final = f"is more than {MOST} times its size when it is unpacked"


class Unpacking(Protocol):
    """Takes the bytes of a layer as they are kept, and gives those of its tar."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes. `ValueError` where they are not what they are called."""
        ...

    def end(self) -> BinaryIO:
        """The tar, from its beginning. `ValueError` where it is not whole."""
        ...


def unpacking(media_type: str, size: int, folder: Path) -> Unpacking:
    """For a layer of `size` bytes of this type. `ValueError` where nobody here can unpack it."""
    most = max(_LEAST, size * MOST)
    return _Zstd(most, folder) if media_type.endswith("zstd") else _Gzip(most, folder)


class _Gzip:
    """A gzipped tar, or a plain one: the first bytes say which."""

    def __init__(self, most: int, folder: Path) -> None:
        self._file: BinaryIO = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._left = most
        self._inflate: zlib._Decompress | None = None
        self._is_plain: bool | None = None

    def feed(self, data: bytes) -> None:
        """See `Unpacking`."""
        if self._is_plain is None:
            self._is_plain = not data.startswith(b"\x1f\x8b")
        if self._is_plain:
            self._file.write(data)
            return
        while data:
            if self._inflate is None:
                self._inflate = zlib.decompressobj(31)
            try:
                self._take(self._inflate.decompress(data, _PIECE))
            except zlib.error as fault:
                raise ValueError(f"is no gzip: {fault}") from None
            data = self._inflate.unconsumed_tail
            if self._inflate.eof:
                data, self._inflate = self._inflate.unused_data, None
                if not data.startswith(b"\x1f"):
                    return  # zeros behind the last member

    def _take(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            raise ValueError(_TOO_MUCH)
        self._file.write(data)

    def end(self) -> BinaryIO:
        """See `Unpacking`."""
        if self._inflate is not None:
            raise ValueError("ends before its gzip does")
        self._file.seek(0)
        return self._file


class _Zstd:
    """By the program `zstd`, which writes into our file itself."""

    def __init__(self, most: int, folder: Path) -> None:
        self._most = most
        self._file: BinaryIO = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                ["zstd", "-dcq"], stdin=subprocess.PIPE, stdout=self._file, stderr=subprocess.PIPE
            )
        except FileNotFoundError:
            raise ValueError("is compressed by zstd, and the program zstd is not installed here") from None

    @property
    def _stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None, "it is a pipe"
        return self._process.stdin

    def feed(self, data: bytes) -> None:
        """See `Unpacking`."""
        try:
            self._stdin.write(data)
        except BrokenPipeError:
            raise ValueError("is no zstd") from None
        self._demand_fit()

    def _demand_fit(self) -> None:
        if os.fstat(self._file.fileno()).st_size > self._most:
            self._process.kill()
            raise ValueError(_TOO_MUCH)

    def end(self) -> BinaryIO:
        """See `Unpacking`."""
        _, told = self._process.communicate()
        self._demand_fit()
        if self._process.returncode:
            raise ValueError(f"is no zstd: {told.decode('utf-8', 'replace').strip()[:200]}")
        self._file.seek(0)
        return self._file


@dataclass(frozen=True, slots=True)
class Member:
    """An entry of a tar: where its headers begin, and where its bytes."""

    info: tarfile.TarInfo
    start: int
    data: int

    @property
    def name(self) -> str:
        """As the tar has it."""
        return self.info.name


def members(tar: BinaryIO) -> Iterator[Member]:
    """The entries of a tar in order. `ValueError` where it is none, or has entries that no layer has."""
    tar.seek(0)
    try:
        with tarfile.open(fileobj=tar, mode="r:") as read:
            while (info := read.next()) is not None:
                read.members = []  # type: ignore[attr-defined]  # typeshed lacks it; a million files are not kept
                if info.issparse() or not (info.isreg() or info.type in _OTHERS):
                    raise ValueError(f"has {info.name}, of a kind that layers do not have")
                yield Member(info, info.offset, info.offset_data)
    except tarfile.ReadError as fault:
        raise ValueError(f"is no tar: {fault}") from None


_OTHERS: Final = frozenset(
    {tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE}
)


def payload(tar: BinaryIO, member: Member, size: int, go_on: Callable[[], None]) -> Iterator[bytes]:
    """The bytes of a file, `size` at once. `ValueError` where the tar ends before."""
    tar.seek(at := member.data)
    left = member.info.size
    while left:
        go_on()
        tar.seek(at)
        data = tar.read(min(size, left))
        if not data:
            raise ValueError(f"ends within {member.name}")
        at, left = at + len(data), left - len(data)
        yield data
