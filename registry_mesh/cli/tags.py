"""`registry-mesh tags`."""

from __future__ import annotations

import getpass
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from registry_mesh.cli import store_command
from registry_mesh.cli.suggesting import Suggesting
from registry_mesh.oci.reference import RepositoryName, Tag, parse_name, parse_tag
from registry_mesh.oci.refusals import Refusal

if TYPE_CHECKING:
    from registry_mesh.config.schema import Config
    from registry_mesh.oci.digest import Digest
    from registry_mesh.repositories.tag_history import TagHistory
    from registry_mesh.repositories.tag_log import TagEntry

CODES = (
    "Exit codes: 0 done; 1 there is no such tag, nothing to go back to, or the store failed; "
    "2 the command line or the configuration is wrong."
)


@click.group(cls=Suggesting)
def command() -> None:
    """Show a tag's history; bring back what was deleted or moved."""


class Reference(click.ParamType):  # type: ignore[type-arg]  # generic in click's stubs only
    """REPOSITORY:TAG."""

    name = "repository:tag"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[RepositoryName, Tag]:
        """REPOSITORY:TAG as a pair; click's usage error otherwise."""
        repository, _, tag = str(value).rpartition(":")
        try:
            return parse_name(_without_registry(repository)), parse_tag(tag)
        except Refusal as refusal:
            self.fail(f"{value}: {refusal.reason}; write REPOSITORY:TAG", param, ctx)


def _without_registry(name: str) -> str:
    """A repository as an origin knows it: a first part that can only be a registry's name is left out."""
    first, _, rest = name.partition("/")
    return rest if rest and ("." in first or ":" in first or first == "localhost") else name


@command.command(epilog=CODES)
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("reference", type=Reference())
def history(config: Path, reference: tuple[RepositoryName, Tag]) -> None:
    """What the tag pointed at, since when, and who said so; the newest last.

    \b
    Example:
      registry-mesh tags history config/origin.yaml atlas/athena:latest
    """

    async def show(tags: TagHistory, _: Config) -> None:
        for entry in await tags.entries(reference[1]):
            click.echo(line(entry))

    _with_history(config, reference[0], show)


@command.command(epilog=CODES)
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("reference", type=Reference())
@click.option("--to", type=int, help="The number of the change to go back to; else the last that differs.")
def undo(config: Path, reference: tuple[RepositoryName, Tag], to: int | None) -> None:
    """Point the tag at what it pointed at before. A manifest that was deleted comes back with it, in its grace.

    \b
    Example:
      registry-mesh tags undo config/origin.yaml atlas/athena:latest
    """

    async def bring_back(tags: TagHistory, loaded: Config) -> None:
        from registry_mesh.assembly.labels import node_name
        from registry_mesh.ports.pushes import Pusher
        from registry_mesh.telemetry import audit

        name, tag = reference
        who = f"{getpass.getuser()} (tags undo)"
        try:
            with audit.appending(loaded.log.audit) as keep:
                before = (await tags.entries(tag))[-1].digest
                entry = await tags.undo(Pusher(who), tag, to)
                keep(
                    audit.line(
                        "undo", node_name(loaded), **_told(loaded, who, reference, before, entry.digest)
                    )
                )
        except OSError as fault:
            raise click.ClickException(f"{loaded.log.audit}: {fault.strerror}") from None
        click.echo(f"{name}:{tag} points at {entry.digest} again")

    _with_history(config, reference[0], bring_back)


def _told(
    config: Config, who: str, reference: tuple[RepositoryName, Tag], before: Digest | None, now: Digest | None
) -> dict[str, object]:
    """What the audit log is told of a tag that was brought back."""
    name, tag = reference
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


def _with_history(
    config: Path, name: RepositoryName, work: Callable[[TagHistory, Config], Awaitable[None]]
) -> None:
    async def opened(loaded: Config) -> int:
        from registry_mesh.assembly.repositories import open_repositories
        from registry_mesh.assembly.storage import open_storage

        async with AsyncExitStack() as stack:
            storage = await open_storage(loaded)
            stack.push_async_callback(storage.close)
            await work(open_repositories(loaded, storage).history(name), loaded)
        return 0

    store_command.run(config, ("origin",), opened)
