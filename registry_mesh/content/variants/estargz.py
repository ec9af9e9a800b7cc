"""eStargz: a layer of which each file can be read by itself (stargz-snapshotter, docs/estargz.md).

It is a gzipped tar as any other, each file's bytes a gzip member of its own; the last entry is a table of contents,
and 51 bytes at the end say where that begins. The headers of the tar are copied as they are.
"""

from __future__ import annotations

import hashlib
import json
import struct
import tarfile
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final

from registry_mesh.content.variants.layer_tar import BLOCK, Member, members, payload

TOC_DIGEST: Final = "containerd.io/snapshot/stargz/toc.digest"
SIZE: Final = "io.containers.estargz.uncompressed-size"
CHUNK: Final = 4 << 20
"""Bytes of a file that are read, and proven, together."""
_TOC: Final = "stargz.index.json"
_LANDMARKS: Final = (".no.prefetch.landmark", ".prefetch.landmark")
_LANDMARK: Final = b"\x0f"
_KINDS: Final = {
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
    tarfile.FIFOTYPE: "fifo",
}
_XATTR: Final = "SCHILY.xattr."

Entry = dict[str, Any]  # Any: JSON as it is written


@dataclass(frozen=True, slots=True)
class Written:
    """A layer that was written: what its descriptor and the image's config say of it."""

    toc_digest: str
    diff_id: str
    uncompressed: int


def write(tar: BinaryIO, out: BinaryIO, go_on: Callable[[], None]) -> Written:
    """Write the layer `tar` as eStargz to `out`. `go_on` is called again and again, and may raise. `ValueError` where
    it is no tar of a layer."""
    writing = _Writing(out)
    writing.file(*_landmark())
    for member in members(tar):
        go_on()
        if member.name.removeprefix("./") not in (_TOC, *_LANDMARKS):
            writing.add(tar, member, go_on)
    return writing.end()


def _landmark() -> tuple[bytes, Entry, bytes]:
    info = tarfile.TarInfo(_LANDMARKS[0])
    info.size, info.mode = len(_LANDMARK), 0o100644
    return info.tobuf(tarfile.PAX_FORMAT), {"name": info.name, "type": "reg", "size": info.size}, _LANDMARK


class _Writing:
    """Gzip members of a tar, and the table of what is where."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._offset = 0
        self._member: Any = None  # Any: zlib names no type of its compressors
        self._summed = hashlib.sha256()
        self._size = 0
        self._entries: list[Entry] = []

    def add(self, tar: BinaryIO, member: Member, go_on: Callable[[], None]) -> None:
        """One entry of a tar, as it stands there."""
        tar.seek(member.start)
        header, entry = tar.read(member.data - member.start), _entry(member)
        if member.info.isreg():
            self._begun(header, entry, payload(tar, member, CHUNK, go_on))
        else:
            self._put(header)
            self._entries.append(entry)

    def file(self, header: bytes, entry: Entry, data: bytes) -> None:
        """One file whose bytes are at hand."""
        self._begun(header, entry, iter([data]))

    def _begun(self, header: bytes, entry: Entry, chunks: Iterator[bytes]) -> None:
        """A file: its header, then each chunk in a member of its own."""
        self._put(header)
        self._entries.append(entry)
        summed, at, one = hashlib.sha256(), 0, entry
        for chunk in chunks:
            self._cut()
            if at:
                one = {"name": entry["name"], "type": "chunk", "chunkOffset": at}
                self._entries.append(one)
            one |= {"offset": self._offset, "chunkSize": len(chunk), "chunkDigest": _sum(chunk)}
            self._put(chunk)
            summed.update(chunk)
            at += len(chunk)
        if at:
            entry["digest"] = f"sha256:{summed.hexdigest()}"
        if at <= CHUNK:
            entry.pop("chunkSize", None)  # the whole file is one
        self._put(bytes(-at % BLOCK))

    def end(self) -> Written:
        """The table, and where it is."""
        self._cut()
        begins = self._offset
        toc = json.dumps({"version": 1, "entries": self._entries}, separators=(",", ":")).encode()
        info = tarfile.TarInfo(_TOC)
        info.size, info.mode = len(toc), 0o100444
        self._put(info.tobuf(tarfile.PAX_FORMAT) + toc + bytes(-len(toc) % BLOCK) + bytes(2 * BLOCK))
        self._cut()
        self._out.write(_footer(begins))
        return Written(_sum(toc), f"sha256:{self._summed.hexdigest()}", self._size)

    def _put(self, data: bytes) -> None:
        if not data:
            return
        if self._member is None:
            self._member = zlib.compressobj(6, zlib.DEFLATED, 31)
        self._summed.update(data)
        self._size += len(data)
        self._write(self._member.compress(data))

    def _cut(self) -> None:
        """End the gzip member: what follows begins one."""
        if self._member is not None:
            self._write(self._member.flush())
            self._member = None

    def _write(self, data: bytes) -> None:
        self._offset += self._out.write(data)


def _entry(member: Member) -> Entry:
    info = member.info
    entry: Entry = {"name": info.name + ("/" if info.isdir() else ""), "type": _KINDS.get(info.type, "reg")}
    if info.isreg():
        entry["size"] = info.size
    if info.issym() or info.islnk():
        entry["linkName"] = info.linkname
    if info.ischr() or info.isblk():
        entry |= {"devMajor": info.devmajor, "devMinor": info.devminor}
    at = datetime.fromtimestamp(int(info.mtime), UTC)
    entry |= {"modtime": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "mode": info.mode, "uid": info.uid}
    entry |= {"gid": info.gid, "userName": info.uname, "groupName": info.gname}
    xattrs = {
        key.removeprefix(_XATTR): value for key, value in info.pax_headers.items() if key.startswith(_XATTR)
    }
    if xattrs:
        entry["xattrs"] = {
            name: b64encode(value.encode("utf-8", "surrogateescape")).decode()
            for name, value in xattrs.items()
        }
    return entry


def _footer(begins: int) -> bytes:
    """An empty gzip member whose header has the table's offset as an extra field (docs/estargz.md, "Footer")."""
    told = f"{begins:016x}STARGZ".encode()
    extra = b"SG" + struct.pack("<H", len(told)) + told
    header = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff" + struct.pack("<H", len(extra)) + extra
    return header + b"\x01\0\0\xff\xff" + bytes(8)


def _sum(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
