"""What a parent is shown of who we are: Basic, or a token of its token service."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from registry_mesh.auth.challenge import Challenge, may_ask, may_tell
from registry_mesh.ports.failures import SourceDenied
from registry_mesh.upstream.credentials import Credentials
from registry_mesh.upstream.tokens import Tokens

TOKEN_LIMIT: Final = 1 << 20


class Authorization:
    """The Authorization header for one parent, and what its challenges lead to."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        credentials: Credentials | None = None,
        connect: float = 5.0,
    ) -> None:
        """`connect`: seconds for a connection to the token service."""
        self._session = session
        self._url = url
        self._name = urlsplit(url).netloc
        self._credentials = credentials
        self._connect = connect
        self._tokens = Tokens()
        self._scheme = ""

    def known(self, scope: str) -> str | None:
        """The header that was good for `scope` before."""
        if self._scheme == "basic" and self._credentials is not None:
            return self._credentials.basic
        token = self._tokens.get(scope)
        return f"Bearer {token}" if token else None

    async def answer(self, demanded: Sequence[Challenge], scope: str) -> str | None:
        """The header that answers one of the challenges of a 401; None where we have none."""
        self._tokens.drop(scope)
        for challenge in demanded:
            if challenge.scheme == "bearer" and "realm" in challenge.parameters:
                return f"Bearer {await self._token(challenge, scope)}"
            if challenge.scheme == "basic" and self._credentials is not None:
                self._scheme = "basic"
                return self._credentials.basic
        return None

    async def _token(self, challenge: Challenge, scope: str) -> str:
        realm = challenge.parameters["realm"]
        if not may_ask(realm, self._url):
            raise SourceDenied(f"names a token service that it may not: {realm[:200]}", source=self._name)
        query = {"scope": scope}
        if service := challenge.parameters.get("service"):
            query["service"] = service
        headers = {"Accept": "application/json"}
        if self._credentials is not None and may_tell(realm, self._url):
            headers["Authorization"] = self._credentials.basic
        limit = aiohttp.ClientTimeout(total=10, sock_connect=self._connect)
        async with self._session.get(
            realm, params=query, headers=headers, allow_redirects=False, timeout=limit
        ) as response:
            if response.status != 200:
                raise SourceDenied(
                    f"the token service answered {response.status}", source=self._name, unauthorized=True
                )
            data = b""
            async for part in response.content.iter_any():
                data += part
                if len(data) > TOKEN_LIMIT:
                    raise SourceDenied("the token service's answer has no end", source=self._name)
        return self._token_of(data, scope)

    def _token_of(self, data: bytes, scope: str) -> str:
        try:
            document = json.loads(data)
            token = document.get("token") or document["access_token"]
            if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
                raise ValueError("no token")
            lifetime = float(document.get("expires_in") or 60)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise SourceDenied("the token service's answer holds no token", source=self._name) from None
        self._tokens.put(scope, token, min(lifetime, 86400.0))
        return token
