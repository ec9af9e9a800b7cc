"""Docker's `config.json` and the `auth.json` of podman and skopeo, as those programs read them.

Keys name a registry in many spellings (docker/cli `ConvertToHostname`), or a part of one (containers-auth.json(5)):
`https://index.docker.io/v1/`, `quay.io`, `quay.io/team`, `registry.example:5000/v2/`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from registry_mesh.auth.hosts import place

HUB: Final = "https://index.docker.io/v1/"
"""What Docker calls its Hub, in files and to credential helpers."""

_HUB_HOSTS: Final = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_NO_PASSWORDS: Final = ("/v1/access-token", "/v1/refresh-token")
"""Paths under which Docker keeps tokens for the Hub's own pages."""


class EntryInvalid(ValueError):
    """An entry that cannot be used; says why and how to mend it, and repeats nothing of it."""


Entry = tuple[str, str, str, str]
"""User, password, identity token, registry token."""


@dataclass(frozen=True, slots=True)
class DockerConfig:
    """What such a file says of logins, by the part of a registry that it is for: `HOST` or `HOST/PATH`."""

    entries: Mapping[str, Entry] = field(default_factory=dict, repr=False)
    damaged: Mapping[str, str] = field(default_factory=dict)
    """What is wrong, by the key as it is written."""
    helpers: Mapping[str, str] = field(default_factory=dict)
    """Names of credential helpers by host; for all others: by the empty text."""

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> DockerConfig:
        """Read the parsed JSON. `EntryInvalid` where it is no such file at all."""
        auths = document.get("auths") or {}
        if not isinstance(auths, dict):
            raise EntryInvalid("auths is no object: log in again (docker login, skopeo login)")
        entries: dict[str, Entry] = {}
        damaged: dict[str, str] = {}
        for key, value in sorted(auths.items(), key=lambda item: _spelling(item[0])):
            if key.endswith(_NO_PASSWORDS):
                continue
            try:
                if (entry := _entry(value)) is not None:
                    entries.setdefault(scope_of(key), entry)
            except EntryInvalid as fault:
                damaged[key] = str(fault)
        return cls(entries, damaged, _helpers(document))

    def entry(self, url: str, repository: str = "") -> Entry | None:
        """Return the entry whose key fits most of `HOST/REPOSITORY`."""
        for host in hosts(url):
            for scope in _parts(f"{host}/{repository}" if repository else host):
                if scope in self.entries:
                    return self.entries[scope]
        return None

    def helper(self, url: str) -> str:
        """Return the name of the credential helper to ask for the registry; empty for none."""
        named = (self.helpers[host] for host in hosts(url) if host in self.helpers)
        return next(named, self.helpers.get("", ""))

    def knows(self, url: str) -> bool:
        """Return whether there is an entry for the registry or for a part of it."""
        known = set(hosts(url))
        return any(scope.partition("/")[0] in known for scope in self.entries)

    def faults(self, url: str) -> list[str]:
        """Return what is wrong with the entries for the registry, each with its key."""
        known = set(hosts(url))
        return [
            f'auths["{key}"] {why}'
            for key, why in self.damaged.items()
            if scope_of(key).partition("/")[0] in known
        ]

    def lacks(self, url: str) -> str:
        """Return the sentence that there is nothing for the registry, and what there is."""
        there = sorted({*self.entries, *self.damaged})
        has = f"; it has {', '.join(there[:5])}{' …' if len(there) > 5 else ''}" if there else ""
        return f"there is no entry for {server(url)}{has}"


def hosts(url: str) -> list[str]:
    """Return the spellings of the registry's host, the usual one first: all that Docker's Hub is called, the port of
    the scheme with and without."""
    found = place(url)
    if found is None:
        return []
    scheme, host, port = found
    bare = f"[{host}]" if ":" in host else host
    if port != (443 if scheme == "https" else 80):
        return [f"{bare}:{port}"]
    if bare in _HUB_HOSTS:
        return ["docker.io"]
    return [bare, f"{bare}:{port}"]


def server(url: str) -> str:
    """Return what credential helpers call the registry."""
    named = hosts(url)
    return HUB if named == ["docker.io"] else next(iter(named), url)


def scope_of(key: str) -> str:
    """Return what a key is for: `HOST` or `HOST/PATH`. A path behind a scheme, and `/v1/` or `/v2/`, mean nothing."""
    bare = key.strip()
    _, separator, rest = bare.partition("://")
    host, _, path = (rest if separator else bare).partition("/")
    path = path.strip("/")
    host = host.lower()
    if host.removesuffix(":443") in _HUB_HOSTS:
        host = "docker.io"
    return host if separator or path in ("", "v1", "v2") else f"{host}/{path}"


def _spelling(key: str) -> tuple[bool, bool, str]:
    """Order keys for one registry: Docker's own for its Hub, then the bare host, then the others."""
    return key != HUB, scope_of(key) != key, key


def _parts(scope: str) -> Iterator[str]:
    while scope:
        yield scope
        scope = scope.rpartition("/")[0]


def _entry(value: object) -> Entry | None:
    """Return an entry's content; None where it holds none, as those do whose login a helper keeps."""
    if not isinstance(value, dict):
        raise EntryInvalid("is no object: log in again")
    for key in ("auth", "username", "password", "identitytoken", "registrytoken"):
        if not isinstance(value.get(key) or "", str) or (
            value.get(key) is not None and value[key] in (0, False)
        ):
            raise EntryInvalid(f"has {key} that is no text: log in again")
    username, password = value.get("username") or "", value.get("password") or ""
    if value.get("auth"):
        username, password = _decoded(value["auth"])
    identity, registry = value.get("identitytoken") or "", value.get("registrytoken") or ""
    if not username and not identity and not registry:
        if "auth" in value or password:
            raise EntryInvalid("names no user: log in again, or write base64 of USER:PASSWORD in auth")
        return None
    return username, password, identity, registry


def _decoded(auth: str) -> tuple[str, str]:
    """Return user and password of `auth`, base64 of `USER:PASSWORD`. Bytes that are no UTF-8 are kept as they are."""
    try:
        text = base64.b64decode(auth.strip().encode("ascii"), validate=True).decode(
            "utf-8", "surrogateescape"
        )
    except (binascii.Error, UnicodeEncodeError):
        raise EntryInvalid(
            "has auth that is no base64: log in again, or write base64 of USER:PASSWORD"
        ) from None
    username, colon, password = text.partition(":")
    if not colon or not username:
        raise EntryInvalid("has auth that is no base64 of USER:PASSWORD: log in again")
    return username, password.strip("\0")


def _helpers(document: Mapping[str, Any]) -> dict[str, str]:
    named = document.get("credHelpers") or {}
    found = {"": document.get("credsStore") or "", **(named if isinstance(named, dict) else {})}
    return {
        scope_of(key) if key else "": name for key, name in found.items() if isinstance(name, str) and name
    }
