"""Who we are towards a parent, and the texts that say so."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from registry_mesh.upstream.login.docker_config import DockerConfig, EntryInvalid

LIMIT: Final = 4 << 20
"""Bytes of a file of credentials, or of what a command prints."""
IDENTITY_USER: Final = "<token>"
"""The user name under which credential helpers hand out an identity token."""


class CredentialsInvalid(ValueError):
    """A text of credentials that cannot be used. Says why, and repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and a password (or a robot's token), or a token of longer life."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    """For the token service: exchanged there for tokens (OAuth 2.0 refresh token)."""
    registry_token: str = field(default="", repr=False)
    """For the registry itself, as it is."""
    expires: float | None = field(default=None, compare=False)
    """Unix seconds; None: nothing is known of an end."""

    @property
    def basic(self) -> str:
        """As an Authorization header; empty where there is no user, or one for an identity token alone."""
        if not self.username or (self.identity_token and not self.password):
            return ""
        return "Basic " + base64.b64encode(_bytes(f"{self.username}:{self.password}")).decode()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Document:
    """A text of credentials: one login for every registry (`single`), or a Docker configuration."""

    single: Credentials | None = None
    docker: DockerConfig = field(default_factory=DockerConfig)
    text: str = field(default="", repr=False, compare=False)
    """As it stands in its file; empty where it is from elsewhere."""

    def of(self, url: str, repository: str = "") -> Credentials | None:
        """Return the credentials for a repository of the registry at `url`; None where it has none."""
        if self.single is not None:
            return self.single
        entry = self.docker.entry(url, repository)
        return Credentials(*entry) if entry is not None else None


def parse_document(text: str) -> Document:
    """Read `{"username": …, "password": …}`, a Docker `config.json`, or `USER:PASSWORD`. `CredentialsInvalid`.

    A damaged entry of a Docker configuration is no fault of the rest: it stands in `docker.damaged`.
    """
    text = text.removeprefix("\ufeff").strip()
    if not text.startswith("{"):
        username, colon, password = text.partition(":")
        if not colon or not username or "\n" in text:
            raise CredentialsInvalid("it is neither JSON nor USER:PASSWORD on one line")
        return Document(Credentials(username, password))
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as fault:
        where = f" at line {fault.lineno}" if isinstance(fault, json.JSONDecodeError) else ""
        raise CredentialsInvalid(f"it begins like JSON and is none{where}") from None
    if _single(document):
        return Document(_login(document))
    try:
        return Document(docker=DockerConfig.parse(document))
    except EntryInvalid as fault:
        raise CredentialsInvalid(str(fault)) from None


def parse_answer(text: str, username: str, now: float) -> Document:
    """Read what a command printed: a text of credentials, or a credential helper's answer. With a `username` it is the
    password. `CredentialsInvalid`; `now` in Unix seconds."""
    if username:
        if not text.strip() or "\n" in text.strip():
            raise CredentialsInvalid("the command did not print a password on one line")
        return Document(Credentials(username, text.strip()))
    text = text.removeprefix("\ufeff").strip()
    document = parse_document(text)
    if document.single is None or not text.startswith("{"):
        return document
    return Document(_expiring(document.single, json.loads(text), now))


def _single(document: Mapping[str, Any]) -> bool:
    """Return whether the JSON is one login: in our words or in a credential helper's."""
    return not document.keys() & {"auths", "credHelpers", "credsStore"}


def _login(document: Mapping[str, Any]) -> Credentials:
    names = {key.lower(): value for key, value in document.items()}
    username, password = names.get("username"), names.get("password", names.get("secret"))
    if not isinstance(username, str) or not isinstance(password, str) or not username:
        raise CredentialsInvalid("username or password is missing, or is no text")
    if username == IDENTITY_USER:
        return Credentials(identity_token=password)
    return Credentials(username, password)


def _expiring(login: Credentials, document: Mapping[str, Any], now: float) -> Credentials:
    """Return the login with the end that `expires` (Unix seconds or RFC 3339) or `expires_in` (seconds) states."""
    names = {key.lower(): value for key, value in document.items()}
    end, left = names.get("expires"), names.get("expires_in")
    try:
        if isinstance(end, str) and not end.isdigit():
            moment = datetime.fromisoformat(end.strip())
            end = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        expires = float(end) if end is not None else now + float(left) if left is not None else None
    except (ValueError, TypeError, OverflowError):
        raise CredentialsInvalid("expires is neither a time (2026-01-31T12:00:00Z) nor seconds") from None
    return Credentials(login.username, login.password, login.identity_token, "", expires)
