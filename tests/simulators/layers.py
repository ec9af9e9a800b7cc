"""Layers of images: real tars, and images that are made of them."""

from __future__ import annotations

import gzip
import io
import json
import tarfile

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import OCI_CONFIG, OCI_MANIFEST
from tests.simulators.images import Content, descriptor

GZIPPED = "application/vnd.oci.image.layer.v1.tar+gzip"

Files = dict[str, bytes | str | None]
"""By name its bytes; text: a hard link to that name; None: a folder."""


def tar(files: Files) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as file:
        for name, what in files.items():
            info = tarfile.TarInfo(name)
            if what is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(what, str):
                info.type, info.linkname = tarfile.LNKTYPE, what
            else:
                info.size = len(what)
            file.addfile(info, io.BytesIO(what) if isinstance(what, bytes) else None)
    return made.getvalue()


def image_of(content: Content, *layers: Files, tag: str = "", platform: str = "linux/amd64") -> Manifest:
    """An image as a builder makes it: gzipped layers, and a config that names them."""
    tars = [tar(each) for each in layers]
    zipped = [content.blob(gzip.compress(each, mtime=0)) for each in tars]
    os, _, architecture = platform.partition("/")
    config = {
        "os": os,
        "architecture": architecture,
        "config": {"Env": ["PATH=/bin", "GREETING=it's"], "Entrypoint": ["/bin/say"], "Cmd": ["a b"]},
        "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(each)) for each in tars]},
    }
    document: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(OCI_CONFIG, content.blob(json.dumps(config).encode())),
        "layers": [descriptor(GZIPPED, each) for each in zipped],
    }
    return content.put(document, *([tag] if tag else ()))
