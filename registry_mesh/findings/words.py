"""Times and amounts as a person would say them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

_SPANS: Final = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))
_WRITTEN: Final = ((1 << 50, "PiB"), (1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_SIZES: Final = ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def moment(at: float, now: float) -> str:
    """`10:31` of the same day, `23 Nov 16:04` else; UTC."""
    when, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(now, UTC)
    return f"{when:%H:%M}" if when.date() == today.date() else f"{when.day} {when:%b %H:%M}"


def day(at: float) -> str:
    """`24 Dec`."""
    when = datetime.fromtimestamp(at, UTC)
    return f"{when.day} {when:%b}"


def span(seconds: float) -> str:
    """`16 d`, `3 h`, `11 min`, `41 s`: the largest unit of which there are at least two."""
    for unit, name in _SPANS:
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{max(0.0, seconds):.0f} s"


def size(count: float) -> str:
    """Three digits, in powers of ten as on bills and links: `41.8 TB`."""
    for unit, name in _SIZES:
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count:.0f} B"


def quota_size(count: int) -> str:
    """`50 TB`; where it is whole in powers of two, and not so well in powers of ten, as it is written too:
    `8.59 GB (8 GiB)`."""
    told = size(count)
    if count % 10**6 == 0:
        return told
    unit, name = next((each for each in _WRITTEN if count >= each[0] and count % each[0] == 0), (1, "B"))
    return f"{told} ({count // unit:,} {name})" if unit > 1 else told


def part_of(part: float, whole: float, of: str = "of") -> str:
    """`9.8 of 17.9 GB`: the unit once, where it is the same."""
    (count, unit), said = size(part).split(" "), size(whole)
    return f"{count} {of} {said}" if said.endswith(f" {unit}") else f"{count} {unit} {of} {said}"
