"""`access:`, who may do what: its keys."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from registry_mesh.config.values import Duration, FilePath, KeySource, PageUrl, Patterns, Section, Text

Right = Literal["nothing", "pull", "push", "admin"]


class AccessTokens(Section):
    """`access.tokens:`: the tokens that callers get for a login, at `/token`."""

    key: FilePath | None = None
    """PEM file: a private key on the curve P-256, which signs them. Absent: one is made at each start, and tokens end
    with the node; nodes behind one name need one key."""
    service: Text | None = None
    """What the tokens are for; the node's name where absent."""
    realm: PageUrl | None = None
    """The address of `/token` as clients reach it, where that is not the address that they asked."""
    lifetime: Annotated[Duration, Field(ge=60, le=86400)] = 300.0
    """A token is good for so long; 1m to 1d."""


class AccessIssuer(Section):
    """`access.issuers.NAME:`: tokens of others that are believed."""

    issuer: Text
    """What they say in `iss`."""
    audience: Text
    """What they say in `aud`: they are for this node."""
    keys: KeySource
    """The issuer's JWK set: a file, looked at each second, or the https address where the issuer publishes it, asked
    every five minutes and when a token names a new key."""
    ca: FilePath | None = None
    """PEM file of certificate authorities that are believed at that address beside those of the system."""
    bearer: FilePath | None = None
    """File with a token that is shown at that address, read each time: a Kubernetes API server asks for one."""
    groups: Patterns = ()
    """Claims whose values are groups, as `@NAME:CLAIM:VALUE` in policies."""


class Access(Section):
    """`access:`: what callers may do."""

    anonymous: Right = "pull"
    """What a caller without credentials may do; each right includes those before it."""
    authenticated: Right = "pull"
    """The same for users who log in."""
    users: FilePath | None = None
    """File of htpasswd with bcrypt or argon2id: who can log in. Looked at each second."""
    robots: FilePath | None = None
    """Directory of robots, which `registry-mesh robot` makes and revokes. Looked at each second."""
    policies: FilePath | None = None
    """Directory of policy files, in the place of `anonymous` and `authenticated`. Looked at each second."""
    issuers: dict[Text, AccessIssuer] = Field(default_factory=dict)
    """By the name that stands before their subjects in policies: `NAME:SUBJECT`."""
    tokens: AccessTokens = AccessTokens()
