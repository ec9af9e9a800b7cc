"""What time it is elsewhere, by the Date of answers (RFC 9110, 6.6.1)."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

LOOK_EVERY: Final = 60.0
"""Seconds between two looks at one parent."""


def ahead(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds by which `now`, since the epoch, is ahead of what the answer says; None where it does not say, or is from
    a cache. To one second."""
    told = headers.get("Date", "")
    if not told or "Age" in headers:
        return None
    try:
        return now - parsedate_to_datetime(told).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
