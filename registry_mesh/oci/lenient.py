"""JSON that somebody else has written, read as far as it can be."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

DIGITS: Final = 20
"""Of a number; one that has more is read as 0: no size is so large, and to read it takes long."""

_SPELT: Final = {
    name.lower(): name
    for name in (
        *("annotations", "artifactType", "blobs", "blobSum", "config", "digest", "fsLayers"),
        *("layers", "manifests", "mediaType", "platform", "schemaVersion", "size", "subject"),
    )
}

Pairs = Callable[[list[tuple[str, Any]]], Any]


def read_json(data: bytes, pairs: Pairs | None = None) -> Any:  # Any: JSON
    """The first value in `data`, whatever follows it. Bytes that are no UTF-8 are replaced. `pairs`: as
    `object_pairs_hook` of `json`.

    `ValueError` where there is no value; `RecursionError` where it is nested beyond what a decoder bears.
    """
    text = data.decode("utf-8-sig", "replace").lstrip(" \t\r\n")
    document, _ = json.JSONDecoder(object_pairs_hook=pairs, parse_int=_int).raw_decode(text)
    return document


def whole_characters(document: Any, data: bytes) -> Any:  # Any: JSON
    """`document`, read of `data`, with `?` in place of each half of a character: a lone surrogate (RFC 8259,
    section 8.2), which no file, terminal or answer takes."""
    if b"\\ud" not in data and b"\\uD" not in data:
        return document
    return json.loads(json.dumps(document, ensure_ascii=False).encode("utf-8", "replace"))


def _int(digits: str) -> int:
    return int(digits) if len(digits) <= DIGITS else 0


def spelt(key: str) -> str:
    """`key` as the specification spells it: clients written in Go read `Layers` as `layers`."""
    return _SPELT.get(key.lower(), key)


def with_spelt_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:  # Any: JSON
    """For `read_json`: each object with its keys as the specification spells them; of doubled ones the last counts."""
    return {spelt(key): value for key, value in pairs}
