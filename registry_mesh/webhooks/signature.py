"""Signatures of deliveries, as Standard Webhooks has them: HMAC-SHA256 over `ID.TIMESTAMP.BODY`."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from typing import Final

PREFIX: Final = "whsec_"
TOLERANCE: Final = 300.0
"""Seconds that a delivery's time may be from ours."""
LEAST: Final = 24
"""Bytes that a key has at least."""


class SecretInvalid(ValueError):
    """The text is no key."""


def key_of(text: str) -> bytes:
    """The key in a secret: `whsec_` and base64, else the text's own bytes. `SecretInvalid`."""
    text = text.strip()
    try:
        key = (
            base64.b64decode(text.removeprefix(PREFIX), validate=True)
            if text.startswith(PREFIX)
            else text.encode()
        )
    except ValueError:
        raise SecretInvalid(f"what follows {PREFIX} is no base64") from None
    if len(key) < LEAST:
        raise SecretInvalid(f"a key of fewer than {LEAST} bytes")
    return key


def headers(key: bytes, event: str, at: int, body: bytes) -> dict[str, str]:
    """The fields that a receiver verifies. `at` is the time of sending, in seconds since the epoch."""
    signed = b".".join((event.encode(), str(at).encode(), body))
    signature = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    return {"webhook-id": event, "webhook-timestamp": str(at), "webhook-signature": f"v1,{signature}"}


def is_signed(key: bytes, fields: Mapping[str, str], body: bytes, now: float) -> bool:
    """Whether a delivery with these fields is signed with the key, and of our time (seconds since the epoch)."""
    event, at = fields.get("webhook-id", ""), fields.get("webhook-timestamp", "")
    if not (at.isascii() and at.isdigit() and len(at) < 12) or abs(now - int(at)) > TOLERANCE:
        return False
    expected = headers(key, event, int(at), body)["webhook-signature"]
    given = fields.get("webhook-signature", "").split()
    return any(hmac.compare_digest(expected.encode(), each.encode()) for each in given)
