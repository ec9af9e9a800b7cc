"""The token service (distribution's token specification, also as OAuth 2.0): a login becomes a token for some minutes.

It stands beside `/v2/`, and before the right to pull: it is asked by those who have none yet.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qs

from registry_mesh.auth.basic import Login, parse_basic
from registry_mesh.auth.grants import Scope, parse_scopes
from registry_mesh.edge.exchange import Exchange
from registry_mesh.edge.faults import MethodNotAllowed, TargetTooLong
from registry_mesh.edge.head import Fields
from registry_mesh.edge.target import Target
from registry_mesh.oci.refusals import RequestInvalid, Unauthorized
from registry_mesh.ports.access import TokenService

TOKEN: Final = "/token"  # noqa: S105 - a path
KEYS: Final = "/.well-known/jwks.json"
ROUTES: Final = frozenset({TOKEN, KEYS})
_FORM: Final = 64 << 10
"""Bytes of a form that are taken."""
_SECRET: Final[Fields] = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]


async def answer(exchange: Exchange, target: Target, service: TokenService) -> None:
    """`Unauthorized` where the login is wrong."""
    if target.path == KEYS and exchange.method in ("GET", "HEAD"):
        fields = [("Content-Type", "application/jwk-set+json"), ("Cache-Control", "max-age=60")]
        await exchange.reply(200, fields, json.dumps(service.keys()).encode())
    elif target.path == TOKEN and exchange.method == "GET":
        scopes = target.query.all("scope")
        await _issue(exchange, service, _basic(exchange), _scopes(scopes))
    elif target.path == TOKEN and exchange.method == "POST":
        form = await _form(exchange)
        await _issue(exchange, service, _password(form), _scopes(form.get("scope", [])))
    else:
        allowed = ["GET", "HEAD"] if target.path == KEYS else ["GET", "POST"]
        raise MethodNotAllowed("the token service takes GET, and POST of a password", allowed)


def _scopes(lines: list[str]) -> tuple[Scope, ...]:
    try:
        return parse_scopes(lines)
    except ValueError as fault:
        raise RequestInvalid(str(fault)) from None


def _basic(exchange: Exchange) -> Login | None:
    """None without credentials: such a token is for what nobody needs a login for."""
    lines = exchange.headers.getall("Authorization", [])
    if not lines:
        return None
    login = parse_basic(lines[0]) if len(lines) == 1 else None
    if login is None:
        exchange.login = ""  # refused as a login, of nobody who can be named
        raise Unauthorized("the token service takes a user name and a password (Basic)")
    return login


def _password(form: dict[str, list[str]]) -> Login:
    """OAuth 2.0, section 4.3: how containerd asks."""
    user, password = form.get("username", []), form.get("password", [])
    if form.get("grant_type") != ["password"] or len(user) != 1 or len(password) != 1:
        raise RequestInvalid("the token service takes grant_type=password with username and password")
    return Login(user[0], password[0])


async def _form(exchange: Exchange) -> dict[str, list[str]]:
    data = bytearray()
    async for piece in exchange.body():
        data += piece
        if len(data) > _FORM:
            raise TargetTooLong(f"a form may have {_FORM} bytes")
    try:
        return parse_qs(data.decode("utf-8"), strict_parsing=True, max_num_fields=100)
    except ValueError:
        raise RequestInvalid("the form is malformed") from None


async def _issue(
    exchange: Exchange, service: TokenService, login: Login | None, scopes: tuple[Scope, ...]
) -> None:
    exchange.login = login.user if login is not None else None
    issued = await service.issue(login, scopes)
    if login is not None:
        exchange.login = issued.subject  # the caller, as policies and all other lines of the log name it
    at = datetime.fromtimestamp(int(issued.at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {
        "token": issued.token,
        "access_token": issued.token,
        "token_type": "Bearer",
        "expires_in": issued.seconds,
        "issued_at": at,
    }
    await exchange.reply(200, list(_SECRET), json.dumps(body).encode())
