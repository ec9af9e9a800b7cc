"""Key sets of issuers of tokens, fetched where these publish them (RFC 7517; OpenID Connect Discovery, `jwks_uri`)."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Final

import aiohttp

from registry_mesh import __version__
from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.tasks.threads import offload

LIMIT: Final = 256 << 10
"""Bytes of a key set."""
PATIENCE: Final = 10.0
"""Seconds for the whole of an answer."""


async def fetch_key_set(url: str, ca: str | None = None, bearer: str | None = None) -> bytes:
    """Return what is at `url`. `ca`: a PEM file of authorities that are believed, too; `bearer`: a file with a token
    that is shown. Redirects lead nowhere: they could lead inward. `SourceUnavailable`."""
    try:
        async with asyncio.timeout(PATIENCE):
            context, headers = await offload(lambda: (_context(ca), _shown(bearer)))
            return await _fetch(url, context, headers)
    except TimeoutError:
        raise SourceUnavailable(f"no answer within {PATIENCE:g} s") from None
    except (aiohttp.ClientError, OSError, ValueError) as fault:  # ssl.SSLError is an OSError
        raise SourceUnavailable(str(fault)[:300] or type(fault).__name__) from None


async def _fetch(url: str, context: ssl.SSLContext, headers: dict[str, str]) -> bytes:
    async with aiohttp.ClientSession(headers=headers, cookie_jar=aiohttp.DummyCookieJar()) as session:
        async with session.get(url, ssl=context, allow_redirects=False) as answer:
            if answer.status != 200:
                raise SourceUnavailable(f"answered {answer.status}")
            data = bytearray()
            async for piece in answer.content.iter_any():
                data += piece
                if len(data) > LIMIT:
                    raise SourceUnavailable(f"a key set has at most {LIMIT} bytes")
            return bytes(data)


def _context(ca: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca is not None:
        context.load_verify_locations(ca)
    return context


def _shown(bearer: str | None) -> dict[str, str]:
    headers = {
        "Accept": "application/jwk-set+json, application/json",
        "User-Agent": f"registry-mesh/{__version__}",
    }
    if bearer is not None:
        headers["Authorization"] = f"Bearer {Path(bearer).read_text('ascii').strip()}"
    return headers
