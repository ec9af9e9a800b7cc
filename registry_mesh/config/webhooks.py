"""`webhooks:`, who is told what happens at an origin: its keys."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from registry_mesh.auth.hosts import split
from registry_mesh.config.values import Duration, FilePath, ProxyUrl, Secret, Section, Text, listed
from registry_mesh.replication.pattern import Pattern
from registry_mesh.replication.subject import Subject


def _url(text: str) -> str:
    parts = split(text)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
        raise ValueError("a receiver is http://HOST[:PORT]/PATH or https://HOST[:PORT]/PATH")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a receiver's address carries no user or password: events are signed")
    return text


def _patterns(several: tuple[str, ...]) -> tuple[str, ...]:
    found = [Pattern.parse(each, Subject.REPOSITORY, 2) for each in several]
    if all(each.negative for each in found):
        raise ValueError('only excludes, so it selects nothing: add what to tell of, such as "**"')
    return several


_LIST = WithJsonSchema({"type": "array", "items": {"type": "string"}, "examples": [["atlas/**"]]})


class Receiver(Section):
    """One program that is told."""

    url: Annotated[
        Text, AfterValidator(_url), WithJsonSchema({"type": "string", "pattern": "^https?://[^@#]+$"})
    ]
    """Where events are sent to, by POST."""
    secret: Secret
    """Key that signs them: `whsec_` and base64, or any text of 24 bytes or more. Read anew for each event."""
    proxy: ProxyUrl | None = None
    """HTTP proxy on the way to it, http://HOST:PORT; absent or `none`: none, whatever the environment says."""
    ca: FilePath | None = None
    """PEM file of certificate authorities that are believed beside those of the system; it may be renewed."""
    events: Annotated[tuple[Literal["push", "delete"], ...], BeforeValidator(listed), Field(min_length=1)] = (
        "push",
        "delete",
    )
    """What it is told."""
    repositories: Annotated[
        tuple[Text, ...], BeforeValidator(listed), Field(min_length=1), AfterValidator(_patterns), _LIST
    ] = ("**",)
    """Patterns, as in rules, of the repositories that it is told about; `!` excludes."""


class Webhooks(Section):
    """`webhooks:`: CloudEvents, sent to other programs."""

    queue: FilePath | None = None
    """File, in SQLite, made where there is none, of the events that were not taken yet; on this machine's disk."""
    limit: Annotated[int, Field(ge=100, le=10_000_000)] = 100_000
    """Events that wait for one receiver; the oldest makes room."""
    keep: Annotated[Duration, Field(ge=60)] = 3 * 86400.0
    """An event is given up after so long; at least 1m."""
    receivers: dict[Text, Receiver] = Field(default_factory=dict)
    """By name."""
