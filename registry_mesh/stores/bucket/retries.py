"""How often a bucket is asked again, and how long is waited between."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp

TRIES: Final = 5
"""Tries of one request, and of one byte of a stream that broke off."""

BROKEN: Final = (aiohttp.ClientError, asyncio.TimeoutError, OSError)
"""What a request raises whose answer did not come."""

Sleep = Callable[[float], Awaitable[None]]


def delay(attempt: int) -> float:
    """Seconds to wait before try number `attempt` (the first retry is 1): doubling, with jitter, at most 3."""
    return min(3.0, 0.1 * float(1 << (attempt - 1))) * random.uniform(0.5, 1.0)
