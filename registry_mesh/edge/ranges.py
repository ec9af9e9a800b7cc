"""The Range and If-Range header fields (RFC 9110, sections 13.1.5 and 14)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from registry_mesh.oci.refusals import RequestInvalid
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import TO_END
from registry_mesh.ports.failures import SpanUnsatisfiable

MAX_RANGES: Final = 1200
"""podman sends up to 1,024 in one field; a client that sends more is asked (400) to merge them."""

_UNIT: Final = re.compile(r"[ \t]*bytes[ \t]*=", re.ASCII | re.IGNORECASE)
_SPEC: Final = re.compile(r"(?:(\d+)-(\d*)|-(\d+))", re.ASCII)


class OtherSize(SpanUnsatisfiable):
    """The blob has `size` bytes, and its ranges were resolved by another size."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One range as asked for: `start` up to `stop` (`TO_END` where open), or the last `suffix` bytes."""

    start: int = 0
    stop: int = TO_END
    suffix: int | None = None

    def span(self, size: int) -> Span | None:
        """Its bytes of a representation of `size` bytes; None where there are none."""
        if self.suffix is not None:
            return Span(max(0, size - self.suffix), size) if self.suffix and size else None
        return Span(self.start, min(self.stop, size)) if self.start < min(self.stop, size) else None


def parse_range(header: str | None) -> tuple[Wanted, ...] | None:
    """The ranges asked for, in their order; None where the field is absent, of another unit or malformed, and
    so to be ignored. `RequestInvalid` for more than `MAX_RANGES`.

    A last position before the first (`500-0`) is kept as a range that nothing satisfies: a server may ignore or
    reject it (section 14.2), and registries' clients expect 416.
    """
    if header is None:
        return None
    unit = _UNIT.match(header)
    if unit is None:
        return None
    specs = [spec.strip(" \t") for spec in header[unit.end() :].split(",")]
    specs = [spec for spec in specs if spec]  # empty list elements are allowed (section 5.6.1)
    if len(specs) > MAX_RANGES:
        raise RequestInvalid(
            f"more than {MAX_RANGES} ranges in one request: merge neighbours", given=len(specs)
        )
    wanted = [_parse_spec(spec) for spec in specs]
    if not wanted or None in wanted:
        return None
    return tuple(each for each in wanted if each is not None)


def _parse_spec(spec: str) -> Wanted | None:
    found = _SPEC.fullmatch(spec)
    if found is None:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        return Wanted(suffix=_bounded(suffix))
    return Wanted(_bounded(first), _bounded(last) + 1 if last else TO_END)


def _bounded(digits: str) -> int:
    """A position, whatever its number of digits, without arithmetic on huge integers."""
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) < 19 else TO_END


def satisfiable(wanted: Sequence[Wanted], size: int) -> list[Span]:
    """The spans that can be given, in the order asked; empty where none can (416).

    `RequestInvalid` where they overlap so much that they would send the representation more than twice.
    """
    spans = [span for each in wanted if (span := each.span(size)) is not None]
    if len(spans) > 1 and sum(map(len, spans)) > 2 * size:
        raise RequestInvalid("the ranges overlap: merge them", ranges=len(spans))
    return spans


def range_applies(if_range: str | None, etag: str) -> bool:
    """Whether a Range is to be honoured: If-Range is absent or names the current strong validator. A date never
    does, for we give no Last-Modified."""
    return if_range is None or if_range.strip() == etag
