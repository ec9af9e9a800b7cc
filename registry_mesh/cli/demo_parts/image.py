"""An OCI image of files that this machine has: layers of real bytes, made the same way every time."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import sysconfig
import tarfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

LAYER: Final = 26 << 20
"""Bytes of files a layer, before compression."""
ENOUGH: Final = 104 * 10**6
"""Bytes of the whole image, compressed."""
MOST_LAYERS: Final = 16
_SMALLEST: Final = 32 << 10
"""Smaller files make tar slow and the image no larger."""

_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
_LAYER: Final = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True, slots=True)
class Blob:
    """A layer or a config, in a file."""

    media_type: str
    digest: str
    size: int
    path: Path
    diff_id: str = ""

    def descriptor(self) -> dict[str, Any]:
        """The blob's descriptor, as a manifest names it."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


@dataclass(frozen=True, slots=True)
class Image:
    """A manifest and what it names."""

    manifest: bytes
    blobs: tuple[Blob, ...]

    media_type: str = _MANIFEST

    @property
    def digest(self) -> str:
        """The digest of the image's manifest."""
        return f"sha256:{hashlib.sha256(self.manifest).hexdigest()}"

    @property
    def size(self) -> int:
        """Bytes of all: manifest, config, layers."""
        return len(self.manifest) + sum(blob.size for blob in self.blobs)


def make_image(directory: Path, enough: int = ENOUGH, layer: int = LAYER) -> Image:
    """Write blobs to `directory`, layers of files of about `layer` bytes together.

    Takes a few seconds: files are compressed on all cores.
    """
    layers: list[Blob] = []
    batches = _batches(_files(), layer)
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        while sum(each.size for each in layers) < enough and len(layers) < MOST_LAYERS:
            batch = [files for files, _ in zip(batches, range(threads._max_workers), strict=False)]
            if not batch:
                break
            paths = [directory / f"layer-{len(layers) + i}" for i in range(len(batch))]
            layers += threads.map(_layer, paths, batch)
    config = _config(directory / "config", layers)
    document = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": config.descriptor(),
        "layers": [each.descriptor() for each in layers],
        "annotations": {"org.opencontainers.image.title": "registry-mesh demo"},
    }
    return Image(json.dumps(document, indent=1).encode(), (config, *layers))


def _files() -> Iterator[Path]:
    """Files worth packing: Python's own, then programs, libraries and documents of the system."""
    seen: set[str] = set()
    for root in (sysconfig.get_path("stdlib"), sys.prefix, "/usr/bin", "/usr/lib", "/usr/share"):
        for folder, folders, names in os.walk(root):
            folders.sort()
            for name in sorted(names):
                path = os.path.join(folder, name)
                if path not in seen and not name.endswith(".pyc"):
                    seen.add(path)
                    yield Path(path)


def _batches(files: Iterator[Path], enough: int) -> Iterator[list[Path]]:
    """Files of about `enough` bytes together."""
    batch: list[Path] = []
    size = 0
    for path in files:
        try:
            found = path.lstat()
        except OSError:
            continue
        if path.is_symlink() or not path.is_file() or not _SMALLEST <= found.st_size <= enough:
            continue
        batch.append(path)
        size += found.st_size
        if size >= enough:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _Packed:
    """A file of gzip that is written, hashed before and after packing.

    Huffman codes only: much quicker than gzip's usual, any client unpacks it, and the layer stays large. No time of
    day goes in: the same files give the same layer.
    """

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._gzip = zlib.compressobj(1, zlib.DEFLATED, 31, zlib.DEF_MEM_LEVEL, zlib.Z_HUFFMAN_ONLY)
        self.plain = hashlib.sha256()
        self.packed = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self.plain.update(data)
        self._put(self._gzip.compress(data))
        return len(data)

    def finish(self) -> None:
        self._put(self._gzip.flush())

    def _put(self, data: bytes) -> None:
        self.packed.update(data)
        self.size += len(data)
        self._out.write(data)


def _layer(path: Path, files: list[Path]) -> Blob:
    """A tar of `files`, without the times and owners that would make it another one tomorrow."""
    with path.open("wb") as out:
        packed = _Packed(out)
        with tarfile.open(fileobj=packed, mode="w|", format=tarfile.GNU_FORMAT, bufsize=1 << 20) as tar:  # type: ignore[call-overload]  # only writes
            for each in files:
                _add(tar, each)
        packed.finish()
    digest, diff_id = (f"sha256:{each.hexdigest()}" for each in (packed.packed, packed.plain))
    return Blob(_LAYER, digest, packed.size, path, diff_id)


def _add(tar: tarfile.TarFile, path: Path) -> None:
    try:
        source = path.open("rb")
    except OSError:
        return
    with source:
        entry = tar.gettarinfo(str(path), fileobj=source)
        if not entry.isreg():  # another name of a file that is in the tar already
            return
        entry.mtime = 0
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        tar.addfile(entry, source)


def _config(path: Path, layers: list[Blob]) -> Blob:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    document = {
        "architecture": machine,
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
    }
    data = json.dumps(document).encode()
    path.write_bytes(data)
    return Blob(_CONFIG, f"sha256:{hashlib.sha256(data).hexdigest()}", len(data), path)
