"""What the head of a parent's answer says of the parent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from registry_mesh.auth.challenge import Challenge
from registry_mesh.ports.failures import (
    Failure,
    SourceErred,
    SourceLied,
    SourceLoops,
    SourceRefused,
    SourceThrottled,
    SourceUnavailable,
)

REFUSES_HEAD: Final = frozenset({400, 404, 405, 501})
"""Statuses by which HEAD is refused where GET is not: the registry itself, the proxy before it, or the store that it
redirects to by addresses signed for GET alone. Given to the caller."""

LOOPS: Final = "its way to what was asked for leads back here, so nodes are each other's parents"

_BESIDE: Final = re.compile(r"/.+/(?:referrers/[^/]+|manifests/sha(?:256|512)-[0-9a-f]{64})")
"""Referrers, by the API or by the tag: a parent that is broken there alone is well for all else."""

_ANSWERED: Final = {
    304: "not_modified",
    404: "unknown",
    410: "unknown",
    401: "denied",
    403: "denied",
    429: "throttled",
}
PAGE: Final = "text/html"
OWN_NODE: Final = "Registry-Mesh-Node"
"""The field in which a node of ours names itself, where it says who is above it."""

_NODE: Final = re.compile(r"[0-9a-f]{16}")


def counted_as(status: int, media_type: str = "", *, held: bool = False) -> str:
    """Return the word of `telemetry.names.ANSWERS` for a status. `held`: see `is_well`. A web page is no answer of a
    registry, whatever its status."""
    if held and status == 504:
        return "unknown"
    if status == 200 and media_type == PAGE:
        return "error"
    return _ANSWERED.get(status, "error" if status >= 400 else "ok")


def is_beside(path: str) -> bool:
    """Return whether what was asked for says nothing of the rest of the parent."""
    return _BESIDE.fullmatch(path) is not None


def is_well(status: int, path: str, *, held: bool = False) -> bool:
    """Return whether an answer to a request for `path` speaks for the parent. `held`: it was asked for what it holds
    alone, and 504 says that it does not."""
    return status < 500 or status in (501, 508) or (held and status == 504) or is_beside(path)


def fault_of(
    method: str, status: int, *, conditional: bool, why: str, wait: float | None, source: str
) -> Failure | None:
    """Return the failure of a parent that answers with `status`; None where it tells of the thing asked for alone.
    `conditional`: the request had If-None-Match. `why`: what the parent says itself. `wait`: seconds that a 429 or 503
    asked for."""
    told = f"answered {status}" + (f": {why}" if why else "")
    if status == 304 and not conditional:
        return SourceLied("answered 304 to what was asked without a condition", source=source)
    if method == "HEAD" and status in REFUSES_HEAD:
        return None
    if status in (429, 503):
        kind = SourceThrottled if status == 429 else SourceUnavailable
        return kind(told, source=source, retry_after=wait)
    if status == 508:
        return SourceLoops(told if why else f"{told}: {LOOPS}", source=source)
    if status in (500, 501):
        return (SourceErred if status == 500 else SourceRefused)(f"answered {status}", source=source)
    if status >= 500 or status == 408:
        return SourceUnavailable(f"answered {status}", source=source)
    return None


def lineage(headers: Mapping[str, str]) -> list[str]:
    """Return the node that answers and the nodes above it, where it is one of ours and says so."""
    own, above = headers.get(OWN_NODE, ""), headers.get("Registry-Mesh-Above", "")
    return [node for node in (own, *above.split()) if _NODE.fullmatch(node)] if own else []


def turned_away(status: int, challenges: Sequence[Challenge], *, login: bool) -> int:
    """Return the status of an answer to GET /v2/ by which a registry may turn this node away, whatever it is asked for:
    403, or 401 that wants a login of its own where there is none to show. 0 for others."""
    wants_one = bool(challenges) and all(each.scheme == "basic" for each in challenges)
    return status if status == 403 or (status == 401 and wants_one and not login) else 0


def no_registry(status: int, media_type: str) -> int:
    """Return the status of an answer to GET /v2/ that no registry gives; 0 for one that a registry may give.
    400 is what ports of HTTPS answer to plain HTTP."""
    page = status == 200 and media_type == PAGE
    return status if status in (400, 404) or page else 0
