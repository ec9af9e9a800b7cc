"""The nodes that a request has passed, and what those above say of how they came by the answer.

A request carries the nodes below in CDN-Loop (RFC 8586): one that finds itself among them answers 508 at once, where it
would wait for its own answer. An answer carries the caches above in Cache-Status (RFC 9211). What works for a request,
in tasks of its own too, finds both in the context that it began in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

_TOKEN: Final = re.compile(r"registry-mesh-([0-9a-f]{16})")
_UNSAID: Final = re.compile(r"[^\x20-\x7e]")
LONGEST: Final = 2048
"""Characters of Cache-Status that are handed on."""


@dataclass(slots=True, eq=False)
class Hops:
    """Of one request. `below`: nodes that it has passed, the first one first."""

    below: tuple[str, ...] = ()
    above: str = field(default="")
    """Cache-Status of the last answer that a parent gave for it."""

    def note(self, cache_status: Sequence[str]) -> None:
        """Keep the Cache-Status, given by its lines, of an answer."""
        told = _UNSAID.sub("", ", ".join(cache_status))
        if told and len(told) <= LONGEST:
            self.above = told


HOPS: ContextVar[Hops | None] = ContextVar("hops", default=None)


def passed(cdn_loop: Sequence[str]) -> tuple[str, ...]:
    """The nodes of the mesh that a request's CDN-Loop, given by its lines, names."""
    return tuple(_TOKEN.findall(", ".join(cdn_loop))) if cdn_loop else ()


def cdn_loop(node: str) -> str:
    """CDN-Loop of a request that `node` sends on behalf of the one at hand."""
    hops = HOPS.get()
    return ", ".join(f"registry-mesh-{each}" for each in (*(hops.below if hops else ()), node))
