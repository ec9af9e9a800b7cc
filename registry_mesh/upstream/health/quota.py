"""What a registry says is left of what it allows.

Docker Hub: `ratelimit-limit: 100;w=21600`, `ratelimit-remaining: 76;w=21600`. Others: the same with `X-`, and
`RateLimit-Reset` in seconds to come, or as a moment of the epoch. The draft of the IETF (draft-ietf-httpapi-ratelimit-
headers-10): `RateLimit: "default";r=50;t=30` and `RateLimit-Policy: "default";q=100;w=60`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MOST: Final = 1e12
"""Above it a number is nonsense."""

_EPOCH: Final = 1e9
"""A reset that is larger is a moment, and not seconds to come."""
_NUMBER: Final = re.compile(r"\s*(\d{1,15})\b")
_LEFT: Final = re.compile(r";\s*r=(\d{1,15})")
_RESET: Final = re.compile(r";\s*t=(\d{1,15})")
_QUOTA: Final = re.compile(r";\s*q=(\d{1,15})")


@dataclass(frozen=True, slots=True)
class Allowance:
    """`remaining` of `limit` requests, whole again in `seconds`; None where it is not said."""

    remaining: float
    limit: float | None
    seconds: float | None


def allowance(headers: Mapping[str, str], now: float) -> Allowance | None:
    """What an answer's fields say; None where they say nothing. `now` in Unix seconds."""
    told, policy = headers.get("RateLimit", ""), headers.get("RateLimit-Policy", "")
    left = _found(_LEFT, told)
    if left is not None:
        return Allowance(left, _found(_QUOTA, policy), _found(_RESET, told))
    for prefix in ("RateLimit-", "X-RateLimit-"):
        left = _found(_NUMBER, headers.get(f"{prefix}Remaining", ""))
        if left is not None:
            reset = _found(_NUMBER, headers.get(f"{prefix}Reset", ""))
            if reset is not None and reset > _EPOCH:
                reset = max(0.0, reset - now)
            return Allowance(left, _found(_NUMBER, headers.get(f"{prefix}Limit", "")), reset)
    return None


def _found(pattern: re.Pattern[str], text: str) -> float | None:
    match = pattern.match(text) if pattern is _NUMBER else pattern.search(text)
    number = float(match[1]) if match else None
    return number if number is not None and number <= MOST else None
