"""`registry-mesh tags`."""

from __future__ import annotations

import getpass
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from registry_mesh.cli.store import store_command
from registry_mesh.cli.suggesting import Suggesting
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag, parse_name, parse_tag
from registry_mesh.oci.refusals import NameUnknown, Refusal

if TYPE_CHECKING:
    from registry_mesh.config.schema import Config
    from registry_mesh.oci.digest import Digest
    from registry_mesh.repositories.of_origin import Repositories
    from registry_mesh.repositories.tag_log import TagEntry

CODES = (
    "Exit codes: 0 done; 1 there is no such tag, nothing to go back to, or the store failed; "
    "2 the command line or the configuration is wrong."
)


@click.group(cls=Suggesting)
def command() -> None:
    """Show a tag's history; bring back what was deleted or moved."""


@dataclass(frozen=True, slots=True)
class Named:
    """What a reference names; no tag: all of the repository."""

    registry: RegistryName | None
    repository: RepositoryName
    tag: Tag | None


class Reference(click.ParamType):  # type: ignore[type-arg]  # generic in click's stubs only
    """[REGISTRY/]REPOSITORY:TAG; with `whole` also [REGISTRY/]REPOSITORY."""

    def __init__(self, *, whole: bool = False) -> None:
        self.name = "repository[:tag]" if whole else "repository:tag"
        self._whole = whole

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Named:
        """What it names; click's usage error otherwise."""
        registry, rest = _registry_apart(str(value))
        repository, colon, tag = rest.rpartition(":")
        if not colon and self._whole:
            repository, tag = rest, ""
        try:
            named = parse_name(repository)
            return Named(registry, named, parse_tag(tag) if colon or not self._whole else None)
        except Refusal as refusal:
            self.fail(f"{value}: {refusal.reason}; write {self.name.upper()}", param, ctx)


def _registry_apart(name: str) -> tuple[RegistryName | None, str]:
    """A first part that can only be a registry's name, and the rest."""
    first, _, rest = name.partition("/")
    is_registry = rest and ("." in first or ":" in first or first == "localhost")
    return (RegistryName(first), rest) if is_registry else (None, name)


@command.command(epilog=CODES)
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("reference", type=Reference(whole=True), required=False)
@click.option(
    "--last", type=click.IntRange(min=1), default=100, help="So many changes, of several tags; 100."
)
def history(config: Path, reference: Named | None, last: int) -> None:
    """What the tag pointed at, since when, and who said so; the newest last.

    With a repository alone the changes of all its tags, with nothing those of the whole origin or replica.

    \b
    Examples:
      registry-mesh tags history config/origin.yaml atlas/athena:latest
      registry-mesh tags history config/origin.yaml atlas/athena --last 20
    """

    async def show(loaded: Config, repositories: Repositories) -> None:
        name = None if reference is None else _kept(loaded, reference)
        if name is not None and reference is not None and reference.tag is not None:
            for entry in await repositories.history(name).entries(reference.tag):
                click.echo(line(entry))
            return
        from registry_mesh.repositories.recent_changes import recent

        changes = await recent(repositories, name, last)
        if not changes and name is not None:
            raise NameUnknown("no such repository, or it never had a tag", name=name)
        for each in changes:
            click.echo(f"{line(each.entry)}  {each.repository}:{each.tag}")

    _over(config, ("origin", "replica"), show)


@command.command(epilog=CODES)
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("reference", type=Reference())
@click.option("--to", type=int, help="The number of the change to go back to; else the last that differs.")
def undo(config: Path, reference: Named, to: int | None) -> None:
    """Point the tag at what it pointed at before. A manifest that was deleted comes back with it, in its grace.

    \b
    Example:
      registry-mesh tags undo config/origin.yaml atlas/athena:latest
    """

    async def bring_back(loaded: Config, repositories: Repositories) -> None:
        from registry_mesh.assembly.labels import node_name
        from registry_mesh.ports.pushes import Pusher
        from registry_mesh.telemetry import audit

        name, tag = reference.repository, reference.tag
        assert tag is not None, "this reference has one"
        tags = repositories.history(name)
        who = f"{getpass.getuser()} (tags undo)"
        try:
            with audit.appending(loaded.log.audit) as keep:
                before = (await tags.entries(tag))[-1].digest
                entry = await tags.undo(Pusher(who), tag, to)
                keep(
                    audit.line(
                        "undo", node_name(loaded), **_told(loaded, who, name, tag, before, entry.digest)
                    )
                )
        except OSError as fault:
            raise click.ClickException(f"{loaded.log.audit}: {fault.strerror}") from None
        click.echo(f"{name}:{tag} points at {entry.digest} again")

    _over(config, ("origin",), bring_back)


def _told(
    config: Config, who: str, name: RepositoryName, tag: Tag, before: Digest | None, now: Digest | None
) -> dict[str, object]:
    """What the audit log is told of a tag that was brought back."""
    return {
        "subject": who,
        "registry": config.registry,
        "repository": name,
        "reference": tag,
        "digest": str(now),
        "tags": [tag],
        "moved": {tag: str(before)} if before is not None else None,
    }


def line(entry: TagEntry) -> str:
    """One change of a tag as a line of text."""
    when = datetime.fromtimestamp(entry.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"{entry.number:>6}  {when}Z  {entry.by or '-':<20}  {entry.digest or 'deleted'}"


def _kept(config: Config, named: Named) -> RepositoryName:
    """Under which name the node keeps the repository: a replica's begins with its registry. `click.UsageError`."""
    if config.role == "origin":
        return named.repository
    from registry_mesh.repositories.of_replica import registry_component

    known = [name for name, each in config.registries.items() if each.default or len(config.registries) == 1]
    registry = named.registry or (RegistryName(known[0]) if known else None)
    if registry is None:
        raise click.UsageError(
            f"{named.repository}: several registries are copied: write REGISTRY/{named.repository}"
        )
    return RepositoryName(f"{registry_component(registry)}/{named.repository}")


def _over(
    config: Path, roles: tuple[str, ...], work: Callable[[Config, Repositories], Awaitable[None]]
) -> None:
    async def opened(loaded: Config) -> int:
        from registry_mesh.assembly.sources.repositories import open_repositories
        from registry_mesh.assembly.sources.storage import open_storage

        async with AsyncExitStack() as stack:
            storage = await open_storage(loaded)
            stack.push_async_callback(storage.close)
            await work(loaded, open_repositories(loaded, storage))
        return 0

    store_command.run(config, roles, opened)
