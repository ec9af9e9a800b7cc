"""`registry-mesh runs`."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from registry_mesh.cli import store_command
from registry_mesh.cli.rule_options import FORMAT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry_mesh.config.schema import Config
    from registry_mesh.content.snapshot.history import Run


@click.command(epilog="Exit codes: 0 shown; 1 the store failed; 2 the configuration is wrong.")
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--limit", type=click.IntRange(1, 100), default=10, show_default=True, help="So many, the last."
)
@FORMAT
def command(config: Path, limit: int, format: str) -> None:
    """Show the last runs of the rules of the replica, or origin, that CONFIG describes, failed ones too and why: the
    newest first.

    The replica may be serving and running its rules meanwhile.

    \b
    Example:
      registry-mesh runs config/replica.yaml --limit 3
    """

    async def show(loaded: Config) -> int:
        from registry_mesh.assembly.sources.storage import open_storage
        from registry_mesh.content.snapshot.history import RunHistory

        async with AsyncExitStack() as stack:
            storage = await open_storage(loaded)
            stack.push_async_callback(storage.close)
            runs = (await RunHistory(storage.records).read())[::-1][:limit]
        if format == "json":
            click.echo(json.dumps([asdict(run) for run in runs], indent=2))
            return 0
        for run in runs:
            for line in _lines(run):
                click.echo(line)
        if not runs:
            click.echo("no run is known")
        return 0

    store_command.run(config, ("replica", "origin"), show)


def _lines(run: Run) -> Iterator[str]:
    from registry_mesh.cli.replication_view import size

    began = datetime.fromtimestamp(run.began, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    if run.ended is None:
        yield f"{began}  {run.trigger}  under way, or killed"
        return
    took = f"{run.ended - run.began:.1f} s"
    if run.why:
        yield f"{began}  {run.trigger}  broke off after {took}: {run.why}"
        return
    state = "complete" if run.complete else f"{run.failed} failed"
    yield (
        f"{began}  {run.trigger}  {state} in {took}: {run.held} of {run.tags} tags held, {run.switched} switched, "
        f"{run.deleted} deleted, {size(run.bytes)}"
    )
    for name, rule in run.rules.items():
        yield (
            f"  rule {name}: {rule.held} of {rule.tags} tags held, {rule.switched} switched, {size(rule.bytes)}"
        )
    yield from (f"  failed: {trouble}" for trouble in run.troubles)
