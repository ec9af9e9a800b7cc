"""What a token service answers (distribution's token and OAuth 2.0 specifications)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from registry_mesh.oci.lenient import read_json

LIFETIME: Final = 60.0
"""Seconds, where none are stated; the shortest life that clients may count on."""
LONGEST: Final = 86_400.0
TOKEN_LENGTH: Final = 64 << 10
"""Characters of a token: no server takes a longer header line."""

_TOKEN: Final = re.compile(r"[\x21-\x7e]+")


class AnswerInvalid(ValueError):
    """The answer holds no token."""


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """A token, the seconds that are left of it, and the identity token that replaces the one that was exchanged."""

    token: str = field(repr=False)
    lifetime: float
    identity_token: str = field(default="", repr=False)


def parse_answer(data: bytes, now: float) -> TokenAnswer:
    """Read the body of an answer of 200. `now` is the service's own time (its Date field) in Unix seconds, so that
    clocks that differ do no harm. `AnswerInvalid`."""
    try:
        document = read_json(data)
    except (ValueError, RecursionError):
        raise AnswerInvalid("is not JSON") from None
    if not isinstance(document, dict):
        raise AnswerInvalid("is no JSON object")
    token = document.get("token") or document.get("access_token")
    if not isinstance(token, str) or len(token) > TOKEN_LENGTH or not _TOKEN.fullmatch(token):
        raise AnswerInvalid("holds no token")
    following = document.get("refresh_token")
    if not isinstance(following, str) or len(following) > TOKEN_LENGTH or not _TOKEN.fullmatch(following):
        following = ""
    return TokenAnswer(token, _lifetime(document, now), following)


def _lifetime(document: dict[str, Any], now: float) -> float:
    """Return `expires_in`, less the age that `issued_at` gives it: a service may hand out a token again. An age that
    is no part of the life is a wrong clock, and is passed over."""
    seconds = _number(document.get("expires_in"))
    if seconds is None or seconds <= 0:
        return LIFETIME
    age = now - (_moment(document.get("issued_at")) or now)
    return min(seconds - age if 0 < age < seconds else seconds, LONGEST)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _moment(value: object) -> float | None:
    """Return the Unix seconds of an RFC 3339 time, whatever the digits of its fraction; None for anything else."""
    if not isinstance(value, str):
        return None
    text = re.sub(r"\.\d+", "", value.strip())
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
