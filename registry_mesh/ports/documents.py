"""The JSON documents of `ports.Records`: decoded strictly, because a disk may have lied."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from registry_mesh.ports.failures import StoreBroken

Document = dict[str, Any]  # Any: JSON as it was written


def encode(document: Mapping[str, Any]) -> bytes:
    """Canonical: sorted keys, no spaces, nothing that is absent."""
    present = {key: value for key, value in document.items() if value is not None}
    return json.dumps(present, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def decode(data: bytes, key: str) -> Document:
    """`StoreBroken` names the key where the bytes are no document."""
    try:
        document = json.loads(data)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise StoreBroken(f"{key} is not a document")
    return document
