"""`registries:`, where a node fetches from: the keys of one registry."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from registry_mesh.config.values import (
    ByteCost,
    Duration,
    FilePath,
    NodeName,
    ParentGroups,
    Patterns,
    ProxyUrl,
    RedirectHost,
    RegistryHost,
    Secret,
    Section,
    ServerUrl,
    SiblingUrl,
    SubjectName,
    Text,
    as_tuple,
    listed,
)


class Tags(Section):
    """How old an answer about a tag may be (plain registries)."""

    ttl: Duration = 60.0
    """Answered without asking a parent."""
    stale_while_revalidate: Duration = 0.0
    """After that, answered at once while a parent is asked in the background."""
    stale_if_error: Duration = 7 * 86400.0
    """Answered with the old value where parents answer with errors."""
    negative_ttl: Duration = 30.0
    """That a tag does not exist is believed for so long."""
    offline_grace: Duration = 30 * 86400.0
    """Answered with the old value where no parent can be reached at all."""


class CredentialCommand(Section):
    """A command that prints a login; exactly one of `command` and `helper`."""

    command: Patterns = ()
    """The program and its arguments; no shell reads them. It prints JSON {"username": …, "password": …, "expires": …}
    (a time or Unix seconds; or "expires_in", seconds; either may be left out), or USER:PASSWORD."""
    helper: Text | None = None
    """Name of a Docker credential helper: `ecr-login` runs `docker-credential-ecr-login get`."""
    username: Text | None = None
    """With it, what the command prints is the password alone."""
    timeout: Annotated[Duration, Field(gt=0, le=300)] = 10.0
    """The command is killed after so long."""
    lifetime: Annotated[Duration, Field(ge=1)] = 600.0
    """It is run again after so long, where it states no end of its login."""

    def __str__(self) -> str:
        return (
            f"helper:{self.helper}" if self.helper else f"command:{self.command[0] if self.command else ''}"
        )


def _login_kind(value: object) -> str:
    return "[command]" if isinstance(value, dict | CredentialCommand) else "[secret]"


Login = Annotated[
    Annotated[Secret, Tag("[secret]")] | Annotated[CredentialCommand, Tag("[command]")],
    Discriminator(_login_kind),
]
"""A secret by its name, or a command. The tags stand in the paths of pydantic's errors, and are taken out of them."""


class Siblings(Section):
    """`siblings:`, the servers of one site, which bring what it lacks together."""

    nodes: Annotated[dict[NodeName, SiblingUrl], Field(min_length=1)]
    """Every server of the site by its `name`, with the address at which the others reach it. The same in all of their
    files; which of them it is, each knows by its own `name`."""
    credentials: Secret | None = None
    """With what they log in to each other: `file:PATH` or `env:NAME`, as in `registries`."""
    ca: FilePath | None = None
    """PEM file of certificate authorities that are believed beside those of the system."""
    certificate: FilePath | None = None
    """PEM file: the certificate that they show each other, then its chain."""
    key: FilePath | None = None
    """PEM file: its private key."""


class Registry(Section):
    """`registries.HOST:`: one registry, and where it is fetched from."""

    default: bool = False
    """Meant where a request names no registry."""
    aliases: Annotated[tuple[RegistryHost, ...], BeforeValidator(as_tuple)] = ()
    """Other names of the same registry, as clients may write them in `ns=` or in a path."""
    parents: ParentGroups = ()
    """Groups in the order they are tried; members of a group share the load."""
    prices: dict[Text, ByteCost] = Field(default_factory=dict)
    """What a byte from a parent costs, by its HOST[:PORT] as in `parents`: 0.08 CHF/GB. For `status`, metrics and
    alerts; nothing is decided by it."""
    push: bool = False
    """Whether rules may push to it (`to` with a `registry`), at the first of its parents, with the same credentials."""
    spread: Literal["least-load", "rendezvous"] = "least-load"
    """Which member of a group is asked first: the one whose answers are quickest, times what is under way there; or,
    for members that are caches, by the blob's digest, so that every node comes to the same member for a blob, unless
    that one has a quarter more under way than the average."""
    hedge: Literal["alike", "any", "none"] = "alike"
    """Whether another parent is asked beside one that has not answered within the time that nearly all its answers
    took, for one request, and one byte, in fifty: `alike`: beside a node of the mesh only another one; `any`: whichever
    is next; `none`: not before it is late (0.7 s, or eight times its usual latency)."""
    tags: Tags = Tags()
    negative_ttl: Annotated[Duration, Field(le=3600)] = 5.0
    """That a repository has no blob or manifest of some digest is believed for so long, less up to a fifth; 0s: parents
    are asked each time. What is pulled, brought by rules or refreshed meanwhile ends it."""
    readers: Annotated[tuple[SubjectName, ...], BeforeValidator(listed)] = ()
    """Subjects that may read it: `everybody`, `users` (people who log in), names, `@group`. A registry with
    `credentials` or a `certificate` is served to nobody without this line, or a policy that names it."""
    credentials: Login | None = None
    """`file:PATH` or `env:NAME`: JSON {"username": …, "password": …}, a Docker config.json, or USER:PASSWORD. Or a
    command that prints one."""
    ns: Literal["auto", "always", "never"] = "auto"
    """Whether parents are told the registry's name in `ns=`. auto: those that are nodes of this mesh."""
    proxy: ProxyUrl | None = None
    """HTTP proxy on the way to the parents, http://HOST:PORT; `none` for no proxy, whatever HTTP_PROXY, HTTPS_PROXY,
    ALL_PROXY and NO_PROXY say, which hold where it is absent."""
    ca: FilePath | None = None
    """PEM file of certificate authorities that are believed beside those of the system."""
    certificate: FilePath | None = None
    """PEM file: the certificate that parents are shown, then its chain. Nobody else is shown it."""
    key: FilePath | None = None
    """PEM file: its private key."""
    redirects: Annotated[tuple[RedirectHost, ...], BeforeValidator(as_tuple)] = ()
    """HOST or HOST:PORT to which parents may redirect, such as that of their bucket: one inside a network has to be
    named, with `direct: never` any. No other address is ever connected to."""
    ranges: Literal["unproven", "whole-first", "refuse"] = "unproven"
    """Of a range of a blob that is not here whole, from parents without chunk maps: `unproven`: given, and said to be
    unproven in Cache-Status; `whole-first`: given once the whole is here and has its digest; `refuse`: 403."""
    direct: Literal["never", "public"] | None = None
    """Where requests may go beside the parents: `never` elsewhere than to the token service, the proxy, `redirects` and
    the known hosts of a well-known registry; `public`: to any public address. Absent: never at a site, else public."""
    token_service: ServerUrl | None = None
    """Address of the token service, http(s)://HOST[:PORT], where the parents name one that is not known as theirs: it
    alone is told the credentials."""
