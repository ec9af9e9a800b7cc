"""What a node of the mesh says of why it cannot answer (distribution-spec, "Error Codes")."""

from __future__ import annotations

import asyncio
import json
from typing import Final

import aiohttp

from registry_mesh.ports.hops import REASON

LONGEST: Final = 500
"""Characters that are handed on."""

_BODY: Final = 8192
_WAIT: Final = 1.0
"""Seconds for the body of an error."""


async def explained(response: aiohttp.ClientResponse) -> str:
    """Return its message in printable characters; empty where there is none to be read soon."""
    if response.method == "HEAD":
        return printable(response.headers.get(REASON, ""))
    try:
        async with asyncio.timeout(_WAIT):
            text = await response.content.readexactly(min(response.content_length or 0, _BODY))
    except (TimeoutError, OSError, EOFError, aiohttp.ClientError):
        return ""
    return message(text)


def message(body: bytes) -> str:
    """Return the first error's message of an answer's body; empty where there is none."""
    try:
        told = json.loads(body)["errors"][0]["message"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return ""
    return printable(told) if isinstance(told, str) else ""


def printable(text: str) -> str:
    """Return so much of it as is handed on."""
    return "".join(char if char.isprintable() else "?" for char in text)[:LONGEST]
