"""The one table from refusals and failures to what a client sees (docs of the specification: "Error Codes").

A client of a mirror does different things on different statuses: containerd goes to its next host at once on 404
and 5xx, and hammers the same host on 429 and 408. So a site never answers 429, and 404 is only said of what is known
not to exist, or is held and not known to be the repository's. 401 asks a client for a login at this node: a parent
that wants one of us, or does not take ours, is nothing that a client's login can mend, and is 403 or 503.
"""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass, field
from typing import Final

from registry_mesh.edge.head import Fields
from registry_mesh.oci import refusals as oci
from registry_mesh.ports.failures import (
    Failure,
    LoginRefused,
    MapsDisputed,
    MapUnusable,
    NotHeld,
    SourceDenied,
    SourceDown,
    SourceLied,
    SourceLoops,
    SourceRefused,
    SourceThrottled,
    SourceUnavailable,
    SpanUnsatisfiable,
    StoreBroken,
    StoreFull,
)

RETRY_AFTER: Final = range(3, 8)
"""Seconds, where the failing side named none, of which each answer has others: who was told together is not to come
back together. The field takes whole ones (RFC 9110, 10.2.3)."""


class Overloaded(Failure):
    """This node has as much to do as it may."""


class TooFast(oci.TooManyRequests):
    """A client asks for more than its share; it may ask again after `wait` seconds."""

    def __init__(self, reason: str, wait: float) -> None:
        super().__init__(reason)
        self.wait = wait


class LoopFound(Failure):
    """The request has passed this node before (RFC 8586)."""


class PreconditionFailed(oci.Refusal):
    """If-Match or If-None-Match is false (412)."""

    code = "DENIED"
    summary = "the precondition is false"


class MethodNotAllowed(oci.Unsupported):
    """405, with what is allowed."""

    def __init__(self, reason: str, allowed: list[str], **detail: object) -> None:
        super().__init__(reason, **detail, allowed=allowed)
        self.fields: Fields = [("Allow", ", ".join(allowed))]


class NotFound(oci.Refusal):
    """A path that is no end point (404)."""

    code = "NAME_UNKNOWN"
    summary = "no such end point"


class TargetTooLong(oci.Refusal):
    """More in the request target than is taken (414)."""

    code = "UNSUPPORTED"
    summary = "the request target holds too much"


class ExpectationFailed(oci.Refusal):
    """An Expect field other than 100-continue (417)."""

    code = "UNSUPPORTED"
    summary = "only 100-continue is understood"


class BodyTimeout(oci.Refusal):
    """The rest of the request body did not come (400: on 408 clients repeat at once)."""

    code = "SIZE_INVALID"
    summary = "the request body stopped coming"


_REFUSALS: Final[dict[type[oci.Refusal], int]] = {
    oci.BlobUnknown: 404,
    oci.BlobUploadInvalid: 400,
    oci.BlobUploadUnknown: 404,
    oci.RangeInvalid: 416,
    oci.DigestInvalid: 400,
    oci.ManifestBlobUnknown: 400,
    oci.ManifestInvalid: 400,
    oci.ManifestTooLarge: 413,
    oci.ManifestUnknown: 404,
    oci.NameInvalid: 400,
    oci.NameUnknown: 404,
    oci.SizeInvalid: 400,
    oci.Unauthorized: 401,
    oci.Denied: 403,
    oci.Unsupported: 405,
    oci.RequestInvalid: 400,
    oci.Conflict: 409,
    oci.TooManyRequests: 429,
    PreconditionFailed: 412,
    NotFound: 404,
    TargetTooLong: 414,
    ExpectationFailed: 417,
    BodyTimeout: 400,
}

_IN_A_FIELD: Final = 500
"""Characters of a message."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the answer to a failure also depends on."""

    site: bool = False
    write: bool = False
    precondition: bool = False
    """The request carried If-Match or If-None-Match."""
    challenge: str = ""
    """For WWW-Authenticate: ours, never a parent's."""


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An error as distribution-spec has it: one code, a message, a detail, and the fields beside it."""

    status: int
    code: str
    message: str
    detail: dict[str, object] = field(default_factory=dict)
    fields: Fields = field(default_factory=list)

    def body(self) -> bytes:
        """The JSON document that is sent."""
        error = {"code": self.code, "message": self.message, "detail": self.detail}
        return json.dumps({"errors": [error]}, default=str).encode()

    @property
    def in_a_field(self) -> str:
        """The message as a header field can hold it."""
        return "".join(char if " " <= char <= "~" else "?" for char in self.message)[:_IN_A_FIELD]


def answer_for(fault: oci.Refusal | Failure, around: Circumstances) -> ErrorAnswer:
    """The answer to a refusal, or to a failure of this node or its parents."""
    if isinstance(fault, oci.Refusal):
        return _refused(fault, around)
    return _failed(fault, around)


WHY: Final[dict[type[Exception], tuple[str, str]]] = {
    oci.BlobUnknown: ("caller", "unknown"),
    oci.BlobUploadUnknown: ("caller", "unknown"),
    oci.ManifestUnknown: ("caller", "unknown"),
    oci.NameUnknown: ("caller", "unknown"),
    NotFound: ("caller", "unknown"),
    oci.Denied: ("caller", "denied"),
    oci.Unauthorized: ("caller", "unauthorized"),
    oci.RangeInvalid: ("caller", "range"),
    SpanUnsatisfiable: ("caller", "range"),
    oci.ManifestTooLarge: ("caller", "too_large"),
    TargetTooLong: ("caller", "too_large"),
    oci.Unsupported: ("caller", "unsupported"),
    ExpectationFailed: ("caller", "unsupported"),
    oci.Conflict: ("caller", "conflict"),
    oci.TooManyRequests: ("caller", "too_many"),
    PreconditionFailed: ("caller", "precondition"),
    oci.Refusal: ("caller", "invalid"),
    NotHeld: ("caller", "unknown"),
    SourceDown: ("parent", "down"),
    SourceThrottled: ("parent", "throttled"),
    SourceRefused: ("parent", "refused"),
    LoopFound: ("parent", "unavailable"),
    SourceUnavailable: ("parent", "unavailable"),
    SourceDenied: ("parent", "denied"),
    LoginRefused: ("parent", "login"),
    SourceLied: ("parent", "lied"),
    MapsDisputed: ("parent", "lied"),
    MapUnusable: ("parent", "lied"),
    StoreFull: ("store", "full"),
    StoreBroken: ("store", "broken"),
    Overloaded: ("node", "busy"),
}
"""By whose side a request was not answered as asked, and why, by kind of fault."""


def reason_of(fault: Exception) -> tuple[str, str]:
    """By whose side a request was not answered as asked, and why: one of `names.SIDES` and of `names.REASONS`."""
    return next((WHY[kind] for kind in type(fault).__mro__ if kind in WHY), ("node", "unexpected"))


def _refused(fault: oci.Refusal, around: Circumstances) -> ErrorAnswer:
    status = next((_REFUSALS[kind] for kind in type(fault).__mro__ if kind in _REFUSALS), 400)
    fields: Fields = []
    if status == 409 and around.precondition:
        status = 412
    if status == 429:
        status = 503 if around.site else 429
        fields.append(_retry_after(fault.wait if isinstance(fault, TooFast) else None))
    if status == 401:
        fields.append(("WWW-Authenticate", around.challenge))
    return ErrorAnswer(status, fault.code, fault.reason, fault.detail, fields)


def _failed(fault: Failure, around: Circumstances) -> ErrorAnswer:
    detail: dict[str, object] = {"source": fault.source} if fault.source else {}
    reason = fault.reason if fault.source in fault.reason else f"{fault.source}: {fault.reason}"
    if isinstance(fault, LoopFound | SourceLoops):
        return ErrorAnswer(508, "UNAVAILABLE", reason, detail)
    if isinstance(fault, SpanUnsatisfiable):
        return ErrorAnswer(
            416, "UNSUPPORTED", "no byte of the range exists", {"size": fault.size},
            [("Content-Range", f"bytes */{fault.size}")],
        )  # fmt: skip
    if isinstance(fault, SourceDenied):
        return ErrorAnswer(403, "DENIED", reason, detail)
    if isinstance(fault, NotHeld):
        return ErrorAnswer(504, "UNAVAILABLE", reason, detail)
    again = [_retry_after(fault.retry_after)]
    if isinstance(fault, SourceThrottled) and not around.site:
        return ErrorAnswer(429, "TOOMANYREQUESTS", reason, detail, again)
    if isinstance(fault, StoreFull) and around.write:
        return ErrorAnswer(507, "UNAVAILABLE", reason, detail, again)
    if isinstance(fault, SourceUnavailable | SourceLied | StoreFull | StoreBroken | Overloaded):
        return ErrorAnswer(503, "UNAVAILABLE", reason, detail, again)
    return ErrorAnswer(503, "UNAVAILABLE", reason, detail, again)


def _retry_after(seconds: float | None) -> tuple[str, str]:
    if seconds is None:
        seconds = random.choice(RETRY_AFTER)
    return ("Retry-After", str(max(1, math.ceil(min(seconds, 86_400)))))


def unexpected(request_id: str) -> ErrorAnswer:
    """For what nobody foresaw: says nothing but where to look."""
    return ErrorAnswer(500, "UNKNOWN", "internal error", {"request": request_id})
