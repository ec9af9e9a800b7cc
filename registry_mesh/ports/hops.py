"""The nodes that a request has passed, and what those above say of how they came by the answer.

A request carries the nodes below in CDN-Loop (RFC 8586): one that finds itself among them answers 508 at once, where it
would wait for its own answer. An answer carries the caches above in Cache-Status (RFC 9211). What works for a request,
in tasks of its own too, finds both in the context that it began in.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

_TOKEN: Final = re.compile(r"registry-mesh-([0-9a-f]{16})")
_UNSAID: Final = re.compile(r"[^\x20-\x7e]")
LONGEST: Final = 2048
"""Characters of Cache-Status that are handed on."""


ONLY_IF_CACHED: Final = ("Cache-Control", "only-if-cached")
"""The field of a request for what is held; else the answer is 504 (RFC 9111, 5.2.1.7)."""

REASON: Final = "Registry-Mesh-Reason"
"""The field in which a node says why it cannot answer HEAD, which has no body for it."""

SIBLING: Final = ("Registry-Mesh", "sibling")
"""The field of a request that another server of the same site sends."""


class Asks(enum.Enum):
    """How far a request may be worked for."""

    ANYTHING = "whatever it takes"
    SIBLING = "another server of the site asks: none that may wait for it is asked in turn"
    HELD = "what is held is given, and nobody is asked"
    BEGINNING = "the same for another server of the site, which takes the beginning of what it asked for, too"

    @property
    def nobody(self) -> bool:
        """Whether nobody is to be asked."""
        return self in (Asks.HELD, Asks.BEGINNING)


@dataclass(slots=True, eq=False)
class Hops:
    """Of one request. `below`: nodes that it has passed, the first one first. `asks`: what is to be done for it."""

    below: tuple[str, ...] = ()
    above: str = field(default="")
    """Cache-Status of the last answer that a parent gave for it."""
    asks: Asks = Asks.ANYTHING

    def note(self, cache_status: Sequence[str]) -> None:
        """Keep the Cache-Status, given by its lines, of an answer."""
        told = _UNSAID.sub("", ", ".join(cache_status))
        if told and len(told) <= LONGEST:
            self.above = told


HOPS: ContextVar[Hops | None] = ContextVar("hops", default=None)


def asks_of(registry_mesh: str | None, cache_control: str | None) -> Asks:
    """How far to work for a request with these fields."""
    near = registry_mesh == SIBLING[1]
    if cache_control and any(part.strip().lower() == ONLY_IF_CACHED[1] for part in cache_control.split(",")):
        return Asks.BEGINNING if near else Asks.HELD
    return Asks.SIBLING if near else Asks.ANYTHING


def asked() -> Asks:
    """How far to work for the request at hand."""
    hops = HOPS.get()
    return hops.asks if hops is not None else Asks.ANYTHING


def passed(cdn_loop: Sequence[str]) -> tuple[str, ...]:
    """The nodes of the mesh that a request's CDN-Loop, given by its lines, names."""
    return tuple(_TOKEN.findall(", ".join(cdn_loop))) if cdn_loop else ()


def cdn_loop(node: str) -> str:
    """CDN-Loop of a request that `node` sends on behalf of the one at hand."""
    hops = HOPS.get()
    return ", ".join(f"registry-mesh-{each}" for each in (*(hops.below if hops else ()), node))
