"""Images, indexes and artifacts of every shape a registry has to take, made of random bytes."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
LAYER_PLAIN = "application/vnd.oci.image.layer.v1.tar"
LAYER_FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
LAYER_FOREIGN_PLAIN = "application/vnd.oci.image.layer.nondistributable.v1.tar"
EMPTY = "application/vnd.oci.empty.v1+json"
EXAMPLE_1 = "application/vnd.example.oci.conformance.v1"
EXAMPLE_2 = "application/vnd.example.oci.conformance.v2"

Descriptor = dict[str, Any]


@dataclass
class Content:
    """What is pushed, in order; `tags` name manifests; `subjects` what refers to what."""

    algorithm: str = "sha256"
    blobs: dict[Digest, bytes] = field(default_factory=dict)
    manifests: dict[Digest, bytes] = field(default_factory=dict)
    tags: dict[str, Digest] = field(default_factory=dict)
    referrers: dict[str, list[Descriptor]] = field(default_factory=dict)

    def blob(self, data: bytes, media_type: str, **more: Any) -> Descriptor:
        digest = Digest.of(data, self.algorithm)
        self.blobs[digest] = data
        return {"mediaType": media_type, "digest": str(digest), "size": len(data), **more}

    def manifest(self, document: dict[str, Any], tag: str | None = None) -> Descriptor:
        data = json.dumps(document, indent=2).encode()
        digest = Digest.of(data, self.algorithm)
        self.manifests[digest] = data
        if tag:
            self.tags[tag] = digest
        described: Descriptor = {
            "mediaType": document["mediaType"],
            "digest": str(digest),
            "size": len(data),
        }
        if "subject" in document:
            shown = dict(described)
            kind = document.get("artifactType") or document.get("config", {}).get("mediaType")
            if kind:
                shown["artifactType"] = kind
            if "annotations" in document:
                shown["annotations"] = document["annotations"]
            self.referrers.setdefault(document["subject"]["digest"], []).append(shown)
        return described

    def layer(self, *, compress: bool = True) -> tuple[Descriptor, str]:
        """A layer's descriptor and its diff id."""
        plain = os.urandom(2048)
        data = gzip.compress(plain, mtime=0) if compress else plain
        return self.blob(data, LAYER if compress else LAYER_PLAIN), str(Digest.of(plain))

    def image(
        self,
        tag: str | None = None,
        *,
        layers: int = 2,
        compress: bool = True,
        inline: bool = False,
        extra: bool = False,
        **more: Any,
    ) -> Descriptor:
        """An image; `inline` repeats each blob in its descriptor's `data`, `extra` adds fields nobody knows."""
        made = [self.layer(compress=compress) for _ in range(layers)]
        custom = {"org.example." + os.urandom(4).hex(): os.urandom(4).hex()} if extra else {}
        config = {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [diff for _, diff in made]},
            **custom,
        }
        parts = [self.blob(json.dumps(config).encode(), OCI_CONFIG), *(layer for layer, _ in made)]
        if inline:
            import base64

            for part in parts:
                part["data"] = base64.b64encode(self.blobs[Digest.parse(part["digest"])]).decode()
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": parts[0],
            "layers": parts[1:],
            **custom,
            **more,
        }
        return self.manifest(document, tag)

    def artifact(self, kind: str, tag: str | None = None, *, empty: bool = False, **more: Any) -> Descriptor:
        layer = self.blob(b"{}", EMPTY) if empty else self.blob(os.urandom(512), kind)
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": kind,
            "config": self.blob(b"{}", EMPTY),
            "layers": [layer],
            **more,
        }
        return self.manifest(document, tag)

    def index(self, children: Sequence[Descriptor], tag: str | None = None, **more: Any) -> Descriptor:
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(children), **more}
        return self.manifest(document, tag)

    def platforms(self, tag: str | None = None, *, extra: bool = False, **more: Any) -> Descriptor:
        children = [
            {**self.image(extra=extra), "platform": {"os": "linux", "architecture": architecture}}
            for architecture in ("amd64", "arm64")
        ]
        custom = {"org.example." + os.urandom(4).hex(): os.urandom(4).hex()} if extra else {}
        return self.index(children, tag, **custom, **more)


def _annotated() -> dict[str, str]:
    return {"org.example.note": "hello", "org.example.unique": os.urandom(8).hex()}


def image() -> Content:
    content = Content()
    content.image("image")
    return content


def image_uncompressed() -> Content:
    content = Content()
    content.image("plain", compress=False)
    return content


def large_manifest() -> Content:
    content = Content()
    content.image("large", annotations={f"large-{i}": "A" * 10_000 for i in range(390)})
    return content


def index() -> Content:
    content = Content()
    content.platforms("index")
    return content


def nested_index() -> Content:
    content = Content()
    content.index([content.platforms(), content.platforms()], "nested")
    return content


def empty_index() -> Content:
    content = Content()
    content.index([], "empty")
    return content


def artifact() -> Content:
    content = Content()
    content.artifact(EXAMPLE_1, "artifact")
    return content


def artifact_index() -> Content:
    content = Content()
    children = [content.artifact(EXAMPLE_1) for _ in range(2)]
    content.index(children, "artifact-index", artifactType=EXAMPLE_1)
    return content


def artifact_without_layers() -> Content:
    content = Content()
    content.artifact(EXAMPLE_1, "without-layers", empty=True)
    return content


def artifacts_with_subject() -> Content:
    content = Content()
    subject = content.image("image")
    content.image(subject=subject)
    content.artifact(EXAMPLE_1, "artifact-1", subject=subject, annotations=_annotated())
    content.artifact(EXAMPLE_2, "artifact-2", subject=subject, annotations=_annotated())
    return content


def index_with_subject() -> Content:
    content = Content()
    subject = content.platforms("index")
    children = [content.artifact(EXAMPLE_1)]
    more = {"artifactType": EXAMPLE_1, "annotations": _annotated(), "subject": subject}
    content.index(children, "artifact-index", **more)
    return content


def missing_subject() -> Content:
    content = Content()
    subject = {"mediaType": OCI_MANIFEST, "digest": str(Digest.of(os.urandom(9))), "size": 123}
    content.artifact(EXAMPLE_1, "lonely", subject=subject, annotations=_annotated())
    return content


def data_field() -> Content:
    content = Content()
    content.image("inline", inline=True)
    return content


def non_distributable_layers() -> Content:
    content = Content()
    foreign = [
        {
            "mediaType": media_type,
            "digest": str(Digest.of(os.urandom(9))),
            "size": 123456,
            "urls": ["https://store.example.com/blobs/elsewhere"],
        }
        for media_type in (LAYER_FOREIGN, LAYER_FOREIGN_PLAIN)
    ]
    layer, _ = content.layer()
    config = content.blob(os.urandom(99), OCI_CONFIG)
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [*foreign, layer]}
    content.manifest(document, "foreign")
    return content


def custom_fields() -> Content:
    content = Content()
    content.platforms("custom", extra=True)
    return content


def no_layers() -> Content:
    content = Content()
    content.image("no-layers", layers=0)
    return content


def sha512() -> Content:
    content = Content(algorithm="sha512")
    content.platforms()
    return content


ALL = [
    image,
    image_uncompressed,
    large_manifest,
    index,
    nested_index,
    empty_index,
    artifact,
    artifact_index,
    artifact_without_layers,
    artifacts_with_subject,
    index_with_subject,
    missing_subject,
    data_field,
    non_distributable_layers,
    custom_fields,
    no_layers,
    sha512,
]
