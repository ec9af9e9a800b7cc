"""Retry-After, as another server states it (RFC 9110 section 10.2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST: Final = 3600.0
"""Seconds of a wait that are believed."""


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds to wait, at most an hour; None where nothing readable is stated. `now` in Unix seconds; a
    moment is one of the server's own clock, which tells its time in Date."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(LONGEST, float(text))
    moment = http_date(text)
    if moment is None:
        return None
    theirs = http_date(headers.get("Date", ""))
    return min(LONGEST, max(0.0, moment - (now if theirs is None else theirs)))


def http_date(text: str) -> float | None:
    """Return the Unix seconds of an HTTP date; None where it is none."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
