"""Half characters in JSON: a lone surrogate (RFC 8259, section 8.2), which no file, terminal or answer takes."""

from __future__ import annotations

import json
from typing import TypeVar

T = TypeVar("T")


def whole_characters(document: T, data: bytes) -> T:
    """`document`, read of `data`, with `?` in place of each half of a character."""
    if b"\\ud" not in data and b"\\uD" not in data:
        return document
    mended: T = json.loads(json.dumps(document, ensure_ascii=False).encode("utf-8", "replace"))
    return mended
