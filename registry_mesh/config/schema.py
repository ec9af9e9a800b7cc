"""The keys of a node's configuration file. What stands here is the whole of it; the JSON Schema is made from it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)

from registry_mesh.auth.hosts import place
from registry_mesh.config.scalars import (
    DURATION_PATTERN,
    RATE_PATTERN,
    SECRET_PATTERN,
    SIZE_PATTERN,
    SecretReference,
    parse_duration,
    parse_size,
    size_text,
)
from registry_mesh.oci.reference import parse_registry
from registry_mesh.oci.refusals import NameUnknown

RoleName = Literal["origin", "replica", "site"]
Right = Literal["nothing", "pull", "push", "admin"]


def _duration(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and value == 0:
        return 0.0
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(
            f'a duration needs a unit: write "{value:g}s"' if not isinstance(value, bool) else ""
        )
    return parse_duration(value) if isinstance(value, str) else value


def _size(value: object) -> object:
    return parse_size(value) if isinstance(value, str) else value


def _rate(value: object) -> object:
    return parse_size(value.removesuffix("/s")) if isinstance(value, str) else value


def _secret(value: object) -> object:
    if not isinstance(value, str | SecretReference):
        raise ValueError('a secret is named, never written: "file:/path" or "env:NAME"')
    return SecretReference.parse(value) if isinstance(value, str) else value


def _workers(value: object) -> object:
    return max(1, len(os.sched_getaffinity(0))) if value == "auto" else value


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _parent(value: object) -> object:
    """An address of another node or registry: `http(s)://HOST[:PORT]`. What stands before `/v2` in its path is where
    the registry begins, what stands after it the folder of its repositories."""
    if not isinstance(value, str):
        return value
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("a parent is http://HOST:PORT or https://HOST:PORT")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a parent's address carries no user or password: use credentials")
    if parts.query or parts.fragment:
        raise ValueError("a parent's address is http(s)://HOST[:PORT][/PATH], with nothing after its path")
    try:
        parts.port  # noqa: B018 (raises where the port is none)
    except ValueError:
        raise ValueError("a port is 1 to 65535") from None
    return value.rstrip("/")


def _server(value: object) -> object:
    """`http(s)://HOST[:PORT]`; a path after it is left out."""
    if not isinstance(value, str):
        return value
    found = place(value)
    if found is None or urlsplit(value).username is not None:
        raise ValueError("a token service is http://HOST:PORT or https://HOST:PORT")
    return f"{found[0]}://{urlsplit(value).netloc}"


def _proxy(value: object) -> object:
    """`http://[USER:PASSWORD@]HOST[:PORT]` or `none`."""
    if not isinstance(value, str) or value == "none":
        return value
    found = place(value)
    if found is None or found[0] != "http":
        raise ValueError("a proxy is http://HOST:PORT, or none")
    return value.rstrip("/")


def _registry(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return parse_registry(value)
    except NameUnknown as refusal:
        raise ValueError(refusal.reason) from None


def _one_line(text: str) -> str:
    """A text without control characters: it goes into headers, logs and names of files."""
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        raise ValueError("a line break or another control character stands in it")
    return text


def _path(text: str) -> str:
    """The name of a file or folder."""
    if text.startswith("~"):
        raise ValueError("only a shell knows what ~ is; write the whole path")
    return text


def _address(text: str) -> str:
    """An address to listen on. Brackets belong to URLs, and are left out."""
    return text[1:-1] if text.startswith("[") and text.endswith("]") else text


def _name(text: str) -> str:
    """What can stand in a header, a label and a log line."""
    if not text.isascii():
        raise ValueError("a name is of ASCII letters")
    return text


Duration = Annotated[
    float, BeforeValidator(_duration), Field(ge=0),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["30s", "10m", "1h30m", "7d"]}),
]  # fmt: skip
"""Seconds."""

Size = Annotated[
    int, BeforeValidator(_size), Field(gt=0),
    WithJsonSchema({"type": ["string", "integer"], "pattern": SIZE_PATTERN, "examples": ["500GiB", "10GB"]}),
]  # fmt: skip
"""Bytes."""

Rate = Annotated[
    int, BeforeValidator(_rate), Field(ge=0),
    WithJsonSchema({"type": ["string", "integer"], "pattern": RATE_PATTERN, "examples": ["20MiB/s"]}),
]  # fmt: skip
"""Bytes a second."""

Secret = Annotated[
    SecretReference, BeforeValidator(_secret), WithJsonSchema({"type": "string", "pattern": SECRET_PATTERN}),
]  # fmt: skip

Workers = Annotated[
    int, BeforeValidator(_workers), Field(ge=1, le=256),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1, "maximum": 256}, {"const": "auto"}]}),
]  # fmt: skip

ServerUrl = Annotated[
    str, BeforeValidator(_server), WithJsonSchema({"type": "string", "pattern": "^https?://[^@?#]+$"}),
]  # fmt: skip

ParentUrl = Annotated[
    str, BeforeValidator(_parent), WithJsonSchema({"type": "string", "pattern": "^https?://[^/@?#]+(/[^@?#]*)?$"}),
]  # fmt: skip

ProxyUrl = Annotated[
    str, BeforeValidator(_proxy), WithJsonSchema({"type": "string", "examples": ["http://proxy.example:3128", "none"]}),
]  # fmt: skip

RegistryHost = Annotated[
    str, BeforeValidator(_registry), WithJsonSchema({"type": "string", "examples": ["docker.io"]}),
]  # fmt: skip

Text = Annotated[str, Field(min_length=1), AfterValidator(_one_line)]
FilePath = Annotated[Text, AfterValidator(_path)]
Address = Annotated[Text, AfterValidator(_address)]
Patterns = Annotated[tuple[Text, ...], BeforeValidator(_tuple)]
Port = Annotated[int, Field(ge=0, le=65535)]
ParentGroup = Annotated[tuple[ParentUrl, ...], BeforeValidator(_tuple), Field(min_length=1)]
ParentGroups = Annotated[tuple[ParentGroup, ...], BeforeValidator(_tuple)]


def host_and_port(address: str, port: int) -> str:
    """As they stand in a URL (RFC 3986 section 3.2.2)."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class Section(BaseModel):
    """A part of the file: strict types, no key that is not named here, never changed."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, arbitrary_types_allowed=True, use_attribute_docstrings=True
    )


class Tls(Section):
    """`tls:`: the listener speaks HTTPS."""

    certificate: FilePath
    """PEM file: the certificate, then its chain."""
    key: FilePath
    """PEM file: the private key."""


class Listen(Section):
    """`listen:`: where clients are served."""

    address: Address = "127.0.0.1"
    """Address to listen on; 0.0.0.0 or :: for all."""
    port: Port = 5000
    tls: Tls | None = None

    def __str__(self) -> str:
        return host_and_port(self.address, self.port)


class Admin(Section):
    """`admin:`: where operators are served."""

    address: Address = "127.0.0.1"
    """Address of /healthz, /readyz, /metrics and /status; keep it away from clients."""
    port: Port = 5001


class Disk(Section):
    """`store.disk:`: everything lies in a folder."""

    path: FilePath
    """Directory; made where there is none. A relative path starts at the working directory."""
    quota: Size | None = None
    """Bytes that may be stored; where absent a site keeps to a share of its file system, and others have no bound."""
    fsync: Literal["always", "commit", "never"] | None = None
    """When to wait for the disk. Absent: `never` at a site, whose every byte is checked on its first use and can be
    fetched again; `commit` elsewhere. It is about power cuts: a process that dies loses nothing under any."""

    def __str__(self) -> str:
        return self.path + (f" (at most {size_text(self.quota)})" if self.quota else "")


class Spool(Section):
    """`store.s3.spool:`: the local folder of a site on a bucket."""

    path: FilePath
    """Directory for partial and hot blobs."""
    quota: Size | None = None


class S3(Section):
    """`store.s3:`: everything lies in a bucket."""

    bucket: Text
    endpoint: ParentUrl | None = None
    """Address of an S3 server other than AWS."""
    prefix: str = ""
    """Keys begin with it."""
    region: Text | None = None
    path_style: bool | None = None
    """Bucket in the path of a URL instead of its host; where absent: with an `endpoint` of one's own."""
    ca: FilePath | None = None
    """PEM file of certificate authorities for the endpoint."""
    redirect: Literal["off", "blobs"] = "off"
    """`blobs`: clients fetch large blobs from the bucket itself, by presigned addresses."""
    redirect_min: Size = 1 << 20
    """Bytes asked for below which blobs are served from here all the same."""
    spool: Spool | None = None

    def __str__(self) -> str:
        return f"s3://{self.bucket}"


class Store(Section):
    """Exactly one of `disk` and `s3`."""

    disk: Disk | None = None
    s3: S3 | None = None

    def __str__(self) -> str:
        return str(self.s3 or self.disk)


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


class Registry(Section):
    """`registries.HOST:`: one registry, and where it is fetched from."""

    default: bool = False
    """Meant where a request names no registry."""
    aliases: Annotated[tuple[RegistryHost, ...], BeforeValidator(_tuple)] = ()
    """Other names of the same registry, as clients may write them in `ns=` or in a path."""
    parents: ParentGroups = ()
    """Groups in the order they are tried; members of a group share the load."""
    tags: Tags = Tags()
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
    redirects: Annotated[tuple[Text, ...], BeforeValidator(_tuple)] = ()
    """HOST or HOST:PORT inside a network to which parents may redirect, such as that of their bucket. Public addresses
    need not be named; no other address is ever connected to."""
    token_service: ServerUrl | None = None
    """Address of the token service, http(s)://HOST[:PORT], where the parents name one that is not known as theirs: it
    alone is told the credentials."""


class AccessTokens(Section):
    """`access.tokens:`: the tokens that callers get for a login, at `/token`."""

    key: Text | None = None
    """PEM file: a private key on the curve P-256, which signs them. Absent: one is made at each start, and tokens end
    with the node; nodes behind one name need one key."""
    service: Text | None = None
    """What the tokens are for; the node's name where absent."""
    realm: Text | None = None
    """The address of `/token` as clients reach it, where that is not the address that they asked."""
    lifetime: Annotated[Duration, Field(ge=60, le=86400)] = 300.0
    """A token is good for so long; 1m to 1d."""


class Access(Section):
    """`access:`: what callers may do."""

    anonymous: Right = "pull"
    """What a caller without credentials may do; each right includes those before it."""
    authenticated: Right = "pull"
    """The same for whoever logs in."""
    users: Text | None = None
    """File of htpasswd with bcrypt: who can log in. Looked at each second."""
    tokens: AccessTokens = AccessTokens()


class Replication(Section):
    """`replication:`: when rules run, and what happens to what they leave out."""

    interval: Duration = 300.0
    """Between two runs of the rules."""
    fallthrough: Literal["refuse", "pull-through"] = "refuse"
    """What no rule selects: unknown here, or fetched from the parents when it is asked for, as at a site."""


class Pushes(Section):
    """`pushes:`: what an origin takes."""

    immutable: Patterns = ()
    """Tags that never move once they are set: globs of TAG or REPOSITORY:TAG."""
    history: int = Field(default=20, ge=2, le=10_000)
    """Changes of each tag that are remembered, and whose images are kept."""
    grace: Annotated[Duration, Field(ge=3600)] = 86400.0
    """What was deleted can be brought back, and what nothing refers to is spared, for so long; at least 1h."""
    sparse: bool = False
    """Accept manifests whose layers or children are not here; nothing is then kept from being deleted either."""
    untagged: Literal["collect", "keep"] = "collect"
    """Manifests that no tag points at, or pointed at lately: removed with their layers after the grace, or kept until
    somebody deletes them, for those who pull by digest."""
    manifest_limit: Annotated[Size, Field(ge=4 << 20, le=64 << 20)] = 16 << 20
    """A larger manifest is refused (413); 4MiB to 64MiB, for parts of the mesh take no larger ones."""
    upload_expiry: Annotated[Duration, Field(ge=60, le=7 * 86400)] = 86400.0
    """An upload that nobody has gone on with for so long is forgotten; 1m to 7d."""


class Collection(Section):
    """`collection:`: when an origin removes what nothing refers to."""

    interval: Duration = 6 * 3600.0
    """Between two collections of what nothing refers to; 0: only by `registry-mesh gc`."""


class Scrub(Section):
    """`scrub:`: how fast held bytes are read again."""

    rate: Rate = 20 << 20
    """Bytes a second that are read again in search of rot; 0: none."""
    every: Duration = 7 * 86400.0
    """From the beginning of one walk over all that is held to that of the next."""


class Log(Section):
    """`log:`: what is written of requests and events."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"
    """How events are written to standard error: a JSON object a line, or a line for eyes. auto: for eyes on a
    terminal."""
    access: FilePath | None = None
    """Where to write a JSON line for each request: a file, or - for standard output; nowhere where absent."""


def _without_extensions(value: object) -> object:
    """A mapping without keys that begin with `x-`: a place for anchors."""
    if not isinstance(value, dict):
        return value
    return {key: inner for key, inner in value.items() if not str(key).startswith("x-")}


class Config(Section):
    """One node. Keys that begin with `x-` are nobody's: anchors can stand there."""

    model_config = ConfigDict(json_schema_extra={"patternProperties": {"^x-": {}}})

    role: RoleName
    name: Annotated[Text, AfterValidator(_name)] | None = None
    """What the node calls itself in answers, logs and metrics; the host's name where absent."""
    listen: Listen = Listen()
    admin: Admin = Admin()
    workers: Workers = Field(default_factory=lambda: int(str(_workers("auto"))))
    """Processes that serve; auto = cores."""
    loop: Literal["auto", "asyncio", "uvloop"] = "auto"
    """Event loop; auto = uvloop where it is installed."""
    drain: Duration = 30.0
    """On SIGTERM running bodies may go on for so long."""
    store: Store
    registry: RegistryHost | None = None
    """Origin: the name of its own registry, as clients send it in `ns=`."""
    registries: dict[RegistryHost, Registry] = Field(default_factory=dict)
    """By host. Any other registry is unknown here, and never fetched."""
    rules: FilePath | None = None
    """Replica: directory of rule files."""
    replication: Replication = Replication()
    access: Access = Access()
    pushes: Pushes = Pushes()
    """Origin: what may be pushed, and how long it can be brought back."""
    collection: Collection = Collection()
    """Origin: garbage collection, beside running pushes and pulls."""
    scrub: Scrub = Scrub()
    """Replica, site: what is held is read again and again, and repaired."""
    log: Log = Log()

    _extensions = model_validator(mode="before")(_without_extensions)


SCHEMA_ID: Final = "registry-mesh.json"


def json_schema() -> dict[str, Any]:
    """For editors: `# yaml-language-server: $schema=config/schema/registry-mesh.json`."""
    schema = Config.model_json_schema(mode="validation")
    schema["properties"]["workers"].setdefault("default", "auto")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **schema,
        "title": "registry-mesh configuration",
    }


def publish(directory: Path) -> None:
    """Write the JSON Schema to `directory`."""
    write_schema(directory / SCHEMA_ID, json_schema())


def write_schema(path: Path, schema: dict[str, Any]) -> None:
    """As text that a person can read."""
    path.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    publish(Path(sys.argv[1]))
