"""The keys of a node's configuration file. What stands here is the whole of it; the JSON Schema is made from it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from registry_mesh.config.admin import Admin
from registry_mesh.config.callers import Access
from registry_mesh.config.limits import Limits
from registry_mesh.config.listen import Listen
from registry_mesh.config.pulls import Pulls
from registry_mesh.config.registries import Registry, Siblings
from registry_mesh.config.signers import SigningKey
from registry_mesh.config.stores import Store
from registry_mesh.config.values import (
    Allowance,
    ChildUrl,
    Duration,
    FilePath,
    NodeName,
    Project,
    Rate,
    RegistryHost,
    Secret,
    Section,
    Size,
    TagGlobs,
    Text,
    Workers,
    as_tuple,
    workers,
)
from registry_mesh.config.webhooks import Webhooks

RoleName = Literal["origin", "replica", "site"]


class Replication(Section):
    """`replication:`: when rules run, and what happens to what they leave out."""

    interval: Duration = 300.0
    """Between two runs of the rules."""
    rate: Rate | None = None
    """Bytes a second that runs may take of the link, of which rules take shares by `budget: 40%`; absent: no bound."""
    webhook_secret: Secret | None = None
    """`file:` or `env:` with the key that signs pushes told to `/api/1/runs` of the admin listener, as an origin's
    webhooks are signed: what rules take of that repository is brought within a second or two."""
    fallthrough: Literal["refuse", "pull-through"] = "refuse"
    """What no rule selects: unknown here, or fetched from the parents when it is asked for, as at a site."""


class Pushes(Section):
    """`pushes:`: what an origin takes."""

    read_only: bool = False
    """For maintenance: pushes and deletes are refused (405), the node runs no rules and collects nothing, pulls go
    on."""
    immutable: TagGlobs = ()
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
    quotas: dict[Project, Size] = Field(default_factory=dict)
    """By project, which is a repository's name or the first components of several: bytes that its repositories may have
    in all. What several of them share counts once; what was deleted counts until it is collected."""


class Collection(Section):
    """`collection:`: when an origin removes what nothing refers to."""

    interval: Duration = 6 * 3600.0
    """Between two collections of what nothing refers to; 0: only by `registry-mesh gc`."""


class Retention(Section):
    """`retention:`: which of its own tags an origin keeps."""

    rules: FilePath | None = None
    """Directory of rule files: `from` is the origin's own `registry`, `keep` says which of the tags that a rule takes
    stay, `delete` how long after that the others go."""
    interval: Duration = 3600.0
    """Between two runs of the rules; 0: only by `registry-mesh retention`."""


class Scrub(Section):
    """`scrub:`: how fast held bytes are read again."""

    rate: Rate = 20 << 20
    """Bytes a second that are read again in search of rot; 0: none."""
    every: Duration = 7 * 86400.0
    """From the beginning of one walk over all that is held to that of the next."""
    per_day: Allowance = 100 << 30
    """Bytes a day that are read again of a bucket; 0: none."""
    children: Annotated[tuple[ChildUrl, ...], BeforeValidator(as_tuple)] = ()
    """Origin: replicas and sites that what has rotted or is missing is fetched back from, in order."""


class Log(Section):
    """`log:`: what is written of requests and events."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"
    """How events are written to standard error: a JSON object a line, or a line for eyes. auto: for eyes on a
    terminal."""
    access: FilePath | None = None
    """Where to write a JSON line for each request: a file, or - for standard output; nowhere where absent."""
    audit: FilePath | None = None
    """The same for each push, delete, login, refusal, change of access and action of an operator."""


def _without_extensions(value: object) -> object:
    """A mapping without keys that begin with `x-`: a place for anchors."""
    if not isinstance(value, dict):
        return value
    return {key: inner for key, inner in value.items() if not str(key).startswith("x-")}


class Config(Section):
    """One node. Keys that begin with `x-` are nobody's: anchors can stand there."""

    model_config = ConfigDict(json_schema_extra={"patternProperties": {"^x-": {}}})

    role: RoleName
    name: NodeName | None = None
    """What the node calls itself in answers, logs and metrics; the host's name where absent."""
    listen: Listen = Listen()
    admin: Admin = Admin()
    workers: Workers = Field(default_factory=lambda: int(str(workers("auto"))))
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
    siblings: Siblings | None = None
    """Site: its servers, where it has several. Each byte then crosses the link to the parents once, not once a
    server."""
    rules: FilePath | None = None
    """Replica: directory of rule files."""
    replication: Replication = Replication()
    keys: dict[Text, SigningKey] = Field(default_factory=dict)
    """Replica: whose signatures are believed, by the names that rules use in `verify`."""
    access: Access = Access()
    pushes: Pushes = Pushes()
    """Origin: what may be pushed, and how long it can be brought back."""
    collection: Collection = Collection()
    """Origin, replica: garbage collection, beside running pushes and pulls."""
    retention: Retention = Retention()
    """Origin: which tags are kept, by rules."""
    scrub: Scrub = Scrub()
    """What is held is read again and again, and repaired."""
    limits: Limits = Limits()
    log: Log = Log()
    pulls: Pulls = Pulls()
    webhooks: Webhooks = Webhooks()
    """Origin: who is told of pushes and deletions."""

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
