"""Values of a recorded listing: each of its type, or `ValueError` with the key and what it wants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from registry_mesh.replication.images import Image

Said = Mapping[str, Any]  # Any: JSON as it came
_LAST: Final = 253_402_300_799
"""The end of the year 9999: later times have no date."""
_LARGEST: Final = 1 << 63


def as_time(value: Said, key: str) -> float | None:
    """Seconds since the epoch; None where it is not said."""
    found = value.get(key)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= _LAST:
        raise ValueError(f"{key} is a time: seconds since the epoch")
    return float(found)


def as_count(value: Said, key: str) -> int | None:
    """A number of bytes or times; None where it is not said."""
    found = value.get(key)
    return None if found is None else _count(found, key)


def _count(found: object, key: str) -> int:
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < _LARGEST:
        raise ValueError(f"{key} is a number from 0 on")
    return found


def as_flag(value: Said, key: str) -> bool:
    """Whether it is so; False where it is not said."""
    found = value.get(key, False)
    if not isinstance(found, bool):
        raise ValueError(f"{key} is true or false")
    return found


def as_text(value: Said, key: str) -> str | None:
    """A text; None where it is not said."""
    found = value.get(key)
    if found is not None and not isinstance(found, str):
        raise ValueError(f"{key} is a text")
    return found


def as_texts(value: Said, key: str) -> tuple[str, ...]:
    """A list of texts; none where it is not said."""
    found = value.get(key, ())
    if not isinstance(found, list | tuple) or not all(isinstance(each, str) for each in found):
        raise ValueError(f"{key} is a list of texts")
    return tuple(found)


def as_mapping(value: Said, key: str) -> Said:
    """A mapping; an empty one where it is not said."""
    found = value.get(key)
    if found is not None and not isinstance(found, dict):
        raise ValueError(f"{key} is a mapping")
    return found or {}


def as_sizes(blobs: object) -> dict[str, int]:
    """Bytes by digest."""
    if not isinstance(blobs, dict):
        raise ValueError("blobs is a mapping of digests to bytes")
    return {digest: _count(size, "a blob's size") for digest, size in blobs.items()}


def as_labels(value: Said) -> Mapping[str, tuple[str, ...]] | None:
    """By name; several values are a list: of images of several platforms. None where they are not said."""
    if value.get("labels") is None:
        return None
    labels = as_mapping(value, "labels")
    return {
        name: (each,) if isinstance(each, str) else as_texts(labels, name) for name, each in labels.items()
    }


def as_images(value: Said) -> tuple[Image, ...] | None:
    """A list of images; None where it is not said."""
    found = value.get("images")
    if found is None:
        return None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ValueError("images is a list of mappings")
    return tuple(map(_image, found))


def _image(value: Said) -> Image:
    labels = as_mapping(value, "labels")
    if not all(each is None or isinstance(each, str) for each in labels.values()):
        raise ValueError("a label of an image is a text or null")
    return Image(as_text(value, "platform") or "", as_text(value, "type") or "", labels)
