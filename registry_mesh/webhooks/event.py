"""A happening as a CloudEvent (CloudEvents 1.0, JSON format, structured mode)."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import DigestInvalid
from registry_mesh.ports.happenings import Happening

CONTENT_TYPE: Final = "application/cloudevents+json; charset=utf-8"
TYPE_PREFIX: Final = "registry-mesh."


def written(happening: Happening) -> bytes:
    """The happening as it waits to have happened."""
    return json.dumps(asdict(happening) | {"digest": str(happening.digest)}).encode()


def read(data: bytes) -> Happening:
    """What `written` made. `ValueError` where it is no such thing."""
    try:
        told = json.loads(data)
        return Happening(**{**told, "digest": Digest.parse(told["digest"]), "tags": tuple(told["tags"])})
    except (KeyError, TypeError, DigestInvalid) as fault:
        raise ValueError(str(fault)) from None


def document(happening: Happening, event: str, source: str, registry: str | None) -> bytes:
    """The event `event`, told by `source`, which is a URI reference."""
    tags = [str(tag) for tag in happening.tags]
    named = f"{happening.repository}:{tags[0]}" if tags else f"{happening.repository}@{happening.digest}"
    told = {
        "specversion": "1.0",
        "id": event,
        "source": source,
        "type": TYPE_PREFIX + happening.kind,
        "subject": named,
        "time": datetime.fromtimestamp(happening.at, UTC).isoformat(timespec="milliseconds"),
        "datacontenttype": "application/json",
        "data": {
            "action": happening.kind,
            "registry": registry,
            "repository": happening.repository,
            "digest": str(happening.digest),
            "tags": tags,
            "mediaType": happening.media_type or None,
            "size": happening.size,
            "by": happening.by,
        },
    }
    return json.dumps(told, separators=(",", ":")).encode()
