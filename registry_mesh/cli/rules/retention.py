"""`registry-mesh retention`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from registry_mesh.cli.store import store_command

if TYPE_CHECKING:
    from registry_mesh.config.schema import Config
    from registry_mesh.content.snapshot.removing.retaining import Retained

EXIT_STOPPED: Final = 3
"""As at plans of rules."""


@click.command(
    epilog="Exit codes: 0 done; 1 the store failed; 2 the configuration or a rule is wrong; 3 the guard stopped it."
)
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Delete nothing; say what would go, and why.")
def command(config: Path, dry_run: bool) -> None:
    """Delete tags of the origin that CONFIG describes which its `retention.rules` do not keep.

    Servers may run, and be pushed to, meanwhile. `registry-mesh rules undo CONFIG` brings back what the last run
    deleted, as long as `pushes.grace` lasts.

    \b
    Example:
      registry-mesh retention config/origin.yaml --dry-run
    """

    async def work(loaded: Config) -> int:
        from registry_mesh.assembly.runs.retention import retain, rules_of
        from registry_mesh.assembly.sources.storage import open_storage

        if loaded.retention.rules is None:
            click.echo("error: there are no rules: name their folder in retention.rules", err=True)
            return store_command.EXIT_INVALID
        async with AsyncExitStack() as stack:
            storage = await open_storage(loaded)
            stack.push_async_callback(storage.close)
            rules = rules_of(loaded, storage)
            in_force = await rules.read()
            if rules.faults:
                click.echo("\n".join(rules.faults), err=True)
                return store_command.EXIT_INVALID
            with store_command.audited(loaded) as log:
                found = await retain(loaded, storage, in_force, dry_run=dry_run, keep=log.keep)
                if not dry_run:
                    log.ran("retention", *found.done)
        for line in lines(found, dry_run):
            click.echo(line)
        return EXIT_STOPPED if found.troubles else 0

    store_command.run(config, ("origin",), work)


def lines(found: Retained, dry_run: bool) -> Iterator[str]:
    """What a run did, or would do."""
    if dry_run:
        yield from (f"{each} would go: {each.because}" for each in found.going)
    yield from found.notes
    yield from found.troubles
    done = f"would delete {len(found.going):,}" if dry_run else f"deleted {found.deleted:,}"
    yield f"{done} tags, of {found.repositories:,} repositories that rules take"
