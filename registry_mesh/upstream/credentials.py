"""Who we are towards a parent."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from urllib.parse import urlsplit


class CredentialsInvalid(ValueError):
    """A credentials file that cannot be used; says why."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and a password (or a robot's token)."""

    username: str
    password: str = field(repr=False)

    @property
    def basic(self) -> str:
        """As an Authorization header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


def parse_credentials(text: str, url: str) -> Credentials:
    """From `{"username": …, "password": …}`, from a Docker `config.json` with `auths`, or from `USER:PASSWORD`."""
    text = text.strip()
    if not text.startswith("{"):
        username, colon, password = text.partition(":")
        if not colon or "\n" in text:
            raise CredentialsInvalid("neither JSON nor USER:PASSWORD on one line")
        return Credentials(username, password)
    try:
        document = json.loads(text)
    except ValueError as fault:
        raise CredentialsInvalid(f"not JSON: {fault}") from None
    if "auths" in document:
        document = _from_docker(document["auths"], url)
    try:
        return Credentials(str(document["username"]), str(document["password"]))
    except (KeyError, TypeError):
        raise CredentialsInvalid("username or password is missing") from None


def _from_docker(auths: object, url: str) -> dict[str, str]:
    host = urlsplit(url).netloc
    if not isinstance(auths, dict):
        raise CredentialsInvalid("auths is not an object")
    for key, value in auths.items():
        if key in (host, f"https://{host}", f"http://{host}", url) and isinstance(value, dict):
            if "auth" in value:
                username, _, password = base64.b64decode(value["auth"]).decode().partition(":")
                return {"username": username, "password": password}
            return value
    raise CredentialsInvalid(f"auths has no entry for {host}")
