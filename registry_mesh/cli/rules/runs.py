"""`registry-mesh runs`."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from registry_mesh.cli.rules.rule_options import FORMAT
from registry_mesh.cli.store import store_command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry_mesh.config.schema import Config
    from registry_mesh.content.snapshot.records.history import Run


@click.command(epilog="Exit codes: 0 shown; 1 the store failed; 2 the configuration is wrong.")
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--limit", type=click.IntRange(1, 100), default=10, show_default=True, help="So many, the last."
)
@FORMAT
def command(config: Path, limit: int, format: str) -> None:
    """Show the last runs of the rules of the node that CONFIG describes, failed ones too and why: the newest first. A
    site's bring images ahead of time.

    The node may be serving and running its rules meanwhile.

    \b
    Example:
      registry-mesh runs config/replica.yaml --limit 3
    """

    async def show(loaded: Config) -> int:
        from registry_mesh.assembly.sources.storage import open_storage, run_history

        async with AsyncExitStack() as stack:
            storage = await open_storage(loaded)
            stack.push_async_callback(storage.close)
            runs = (await run_history(loaded, storage).read())[::-1][:limit]
        if format == "json":
            click.echo(json.dumps([asdict(run) for run in runs], indent=2))
            return 0
        for run in runs:
            for line in _lines(run):
                click.echo(line)
        if not runs:
            click.echo("no run is known")
        return 0

    store_command.run(config, ("replica", "origin", "site"), show)


def _lines(run: Run) -> Iterator[str]:
    from registry_mesh.cli.replication_view import size

    began = f"{_moment(run.began)}  {run.trigger}"
    if run.goes_on is not None:
        began += f" (goes on with {_moment(run.goes_on)})"
    if run.ended is None:
        yield f"{began}  broke off: {run.why}" if run.why else f"{began}  under way, or killed"
        return
    took = f"{run.ended - run.began:.1f} s"
    if run.why:
        so_far = f"{run.held} of {run.tags} tags held, {size(run.bytes)}"
        yield f"{began}  broke off after {took}, {so_far}: {run.why}"
        return
    state = "complete" if run.complete else f"{run.failed} failed"
    yield (
        f"{began}  {state} in {took}: {run.held} of {run.tags} tags held, {run.switched} switched, "
        f"{run.deleted} deleted, {size(run.bytes)}"
    )
    for name, rule in run.rules.items():
        yield (
            f"  rule {name}: {rule.held} of {rule.tags} tags held, {rule.switched} switched, {size(rule.bytes)}"
            + (f", {size(rule.left)} left" if rule.left > 0 else "")
        )
    yield from (f"  failed: {trouble}" for trouble in run.troubles)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
