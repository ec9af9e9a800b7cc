"""Parsers of names and documents of content, and of what nodes tell each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from registry_mesh.chunks import map_format
from registry_mesh.chunks.chunk_map import ChunkMap, count
from registry_mesh.chunks.sums import SUM
from registry_mesh.edge.pull_reports import parse_report
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import OCI_INDEX, OCI_MANIFEST
from registry_mesh.oci.mentions import mentions
from registry_mesh.oci.reading import is_manifest, looks_like_one, read_manifest
from registry_mesh.oci.reference import parse_name, parse_reference, parse_registry, parse_tag
from registry_mesh.oci.refusals import Refusal
from registry_mesh.ports.failures import Failure
from registry_mesh.telemetry import events
from registry_mesh.upstream.pushes.repository import listed
from tests.fuzz.parser import DIGEST, Parser, field, json_of

BLOB: Final = {"mediaType": "a/b", "digest": str(DIGEST), "size": 1}

IMAGE: Final = {
    "schemaVersion": 2,
    "mediaType": OCI_MANIFEST,
    "config": BLOB,
    "layers": [BLOB],
    "subject": BLOB,
}

INDEX: Final = {
    "schemaVersion": 2,
    "manifests": [{**BLOB, "platform": {"os": "linux", "architecture": "arm64"}}],
    "annotations": {"a": "b"},
}

_MAP: Final = map_format.encode(ChunkMap.of_sums(300_000, bytes(count(300_000) * SUM)), DIGEST)

_EVENTS: Final = json_of(
    [
        {
            "side": "s",
            "reason": "r",
            "subject": "a",
            "why": "w",
            "count": 12,
            "first": 1.0,
            "last": 2.0,
            "lives": {"a": 3},
        }
    ]
)


def _manifest(data: bytes) -> None:
    for announced in (OCI_MANIFEST, OCI_INDEX, ""):
        manifest = read_manifest(data, announced)
        looks_like_one(manifest)
        is_manifest(manifest)
        mentions(data, announced)


def _strict(data: bytes) -> None:
    Manifest.parse(data, OCI_MANIFEST)


CONTENT: Final[Sequence[Parser]] = (
    Parser("digest", field(Digest.parse), (Refusal,), [str(DIGEST).encode(), b"sha512:" + b"a" * 128]),
    Parser("name", field(parse_name), (Refusal,), [b"atlas/athena", b"a--b/c__d.e"]),
    Parser("tag", field(parse_tag), (Refusal,), [b"1.0-rc_1"]),
    Parser("reference", field(parse_reference), (Refusal,), [b"latest", str(DIGEST).encode()]),
    Parser("registry", field(parse_registry), (Refusal,), [b"docker.io", b"[::1]:5000", b"h.example:443"]),
    Parser("manifest-lenient", _manifest, (), [json_of(IMAGE), json_of(INDEX)]),
    Parser("manifest", _strict, (Refusal,), [json_of(IMAGE), json_of(INDEX)]),
    Parser("referrers-tag", listed, (), [json_of(INDEX), b"[]", b"[" * 3000]),
    Parser("chunk-map", lambda data: map_format.decode(data, 300_000, DIGEST), (ValueError, Failure), [_MAP]),
    Parser("events", events.decode, (), [_EVENTS, _EVENTS.replace(b"12", b"1e999"), b"[" * 100_000]),
    Parser(
        "pull-report",
        parse_report,
        (Refusal,),
        [json_of([["2026-11-29", "s", "r", "a/b", "manifest", str(DIGEST), "t", "who", 1, 2]])],
    ),
)
