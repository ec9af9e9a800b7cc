"""What signatures are wrapped in: JSON and base64 of somebody who may lie."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from registry_mesh.catalog.signer import NotSigned
from registry_mesh.oci.digest import Digest


def document(data: bytes) -> dict[str, Any]:  # Any: JSON
    """A JSON object; nothing where it is another value. `NotSigned`."""
    try:
        return mapping(json.loads(data))
    except (ValueError, RecursionError):
        raise NotSigned("is no JSON") from None


def mapping(value: object) -> dict[str, Any]:  # Any: JSON
    """The value where it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def from_base64(text: object) -> bytes:
    """Standard alphabet, with padding. `NotSigned`."""
    return _decoded(text, b"+/")


def from_base64url(text: object) -> bytes:
    """Without padding (RFC 7515, section 2). `NotSigned`."""
    return _decoded(text + "=" * (-len(text) % 4) if isinstance(text, str) else text, b"-_")


def _decoded(text: object, others: bytes) -> bytes:
    try:
        return base64.b64decode(text if isinstance(text, str) else "?", altchars=others, validate=True)
    except (binascii.Error, ValueError):
        raise NotSigned("is not in base64") from None


def demand_digest(told: object, digest: Digest) -> None:
    """`NotSigned` unless a signature says that it is of `digest`."""
    if told != str(digest):
        raise NotSigned(f"is of {told if isinstance(told, str) else 'nothing'}")
