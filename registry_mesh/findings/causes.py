"""Which finding explains a request that was not answered as asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

Told = Mapping[str, Any]
"""A finding as it is handed from process to process: its fields by their names."""

_AWAY: Final = (
    "offline",
    "own-link-down",
    "tls-untrusted",
    "parent-denied",
    "throttled",
    "loop",
    "parent-down",
)
CAUSES: Final[Mapping[tuple[str, str], Sequence[str]]] = {
    ("parent", "down"): _AWAY,
    ("parent", "unavailable"): _AWAY,
    ("parent", "refused"): _AWAY,
    ("parent", "throttled"): ("throttled", *_AWAY),
    ("parent", "login"): ("parent-denied", *_AWAY),
    ("parent", "denied"): ("parent-denied",),
    ("parent", "lied"): ("parent-lies", "parent-down"),
    ("parent", "loop"): ("loop",),
    ("store", "full"): ("store-full", "store-fault"),
    ("store", "broken"): ("store-fault", "format-newer"),
    ("node", "busy"): ("limits-low", "workers-die"),
}
"""By side and reason the findings that may be the cause, the likeliest first."""


def cause(side: str, reason: str, registry: str, found: Iterable[Told]) -> Told | None:
    """The finding that explains it, of those that are so; None: none does. `registry`: of which something was asked
    for; empty where that is not known. What is unknown is explained by what `hides` it."""
    ours = [each for each in found if not each["registries"] or registry in each["registries"]]
    if (side, reason) == ("caller", "unknown"):
        return next((each for each in ours if each["hides"]), None)
    names = CAUSES.get((side, reason), ())
    fit = [each for each in ours if each["name"] in names]
    return min(fit, key=lambda each: names.index(each["name"]), default=None)
