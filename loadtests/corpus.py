"""The content that is served: random blobs and small manifests, the same at every run, made once."""

from __future__ import annotations

import hashlib
import json
import os
import random
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
REPOSITORY = "library/app"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
ACCEPT = f"Accept: {MANIFEST_TYPE}"


@dataclass(frozen=True, slots=True)
class Blob:
    """Some bytes in a file, and the name the registries know them by."""

    file: Path
    digest: str
    size: int

    @property
    def path(self) -> str:
        return f"/v2/{REPOSITORY}/blobs/{self.digest}"


@dataclass(frozen=True, slots=True)
class Tagged:
    """A manifest and its tag."""

    file: Path
    digest: str
    size: int
    tag: str

    @property
    def path_by_digest(self) -> str:
        return f"/v2/{REPOSITORY}/manifests/{self.digest}"

    @property
    def path_by_tag(self) -> str:
        return f"/v2/{REPOSITORY}/manifests/{self.tag}"


def _write(file: Path, seed: str, size: int) -> str:
    """Write `size` random bytes; their digest."""
    source = random.Random(seed)
    digest = hashlib.sha256()
    partial = file.with_suffix(".partial")
    with open(partial, "wb") as out:
        for at in range(0, size, MIB):
            piece = source.randbytes(min(MIB, size - at))
            digest.update(piece)
            out.write(piece)
    os.replace(partial, file)
    return f"sha256:{digest.hexdigest()}"


class Corpus:
    """Lazily made content under `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def blob(self, name: str, size: int) -> Blob:
        file = self.folder / f"{name}-{size}"
        note = self.folder / f"{name}-{size}.digest"
        if not note.exists() or not file.exists() or file.stat().st_size != size:
            note.write_text(_write(file, name, size))
        return Blob(file, note.read_text(), size)

    @cached_property
    def giant(self) -> Blob:
        return self.blob("giant", GIB)

    @cached_property
    def layer(self) -> Blob:
        return self.blob("layer", 256 * MIB)

    @cached_property
    def small(self) -> Blob:
        return self.blob("small", 64 * MIB)

    @cached_property
    def tiny(self) -> Blob:
        return self.blob("tiny", 4 * KIB)

    @cached_property
    def blobs(self) -> list[Blob]:
        return [self.giant, self.layer, self.small, self.tiny]

    @cached_property
    def manifests(self) -> list[Tagged]:
        """A thousand manifests of about 2.4 KB; all name the same few blobs."""
        folder = self.folder / "manifests"
        folder.mkdir(exist_ok=True)
        return [self._manifest(folder, number) for number in range(1000)]

    def _manifest(self, folder: Path, number: int) -> Tagged:
        tag = f"v{number}"
        layers = [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": blob.digest,
                "size": blob.size,
                "annotations": {"org.example.place": f"{place:0128d}"},
            }
            for place, blob in enumerate([self.layer, self.small, self.tiny] * 2)
        ]
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": self.tiny.digest,
                "size": self.tiny.size,
            },
            "layers": layers,
            "annotations": {"org.opencontainers.image.version": tag},
        }
        body = json.dumps(document).encode()
        file = folder / tag
        if not file.exists() or file.read_bytes() != body:
            file.write_bytes(body)
        return Tagged(file, f"sha256:{hashlib.sha256(body).hexdigest()}", len(body), tag)
