"""`registry-mesh gc`."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from registry_mesh.cli.replication_view import size
from registry_mesh.cli.store import store_command
from registry_mesh.config.scalars import duration_text

if TYPE_CHECKING:
    from registry_mesh.config.schema import Config
    from registry_mesh.repositories.collection_report import CollectionReport


@click.command(epilog="Exit codes: 0 done; 1 the store failed (run it again); 2 the configuration is wrong.")
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Remove nothing; say what would go, by repository.")
@click.option("--quiet", is_flag=True, help="No progress, only the result.")
def command(config: Path, dry_run: bool, quiet: bool) -> None:
    """Remove from the origin or replica that CONFIG describes what no tag needs any more.

    Servers may run, and be pushed to, meanwhile. What is found for the first time only begins its grace
    (`pushes.grace`); it goes with a run after that. A run that is killed is simply run again.

    \b
    Example:
      registry-mesh gc config/origin.yaml --dry-run
    """

    async def work(loaded: Config) -> int:
        from registry_mesh.assembly.runs.collection import may_collect, new_collection
        from registry_mesh.assembly.sources.storage import open_storage

        if not may_collect(loaded):
            click.echo("error: with replication.fallthrough what clients fetched is kept, too", err=True)
            return store_command.EXIT_FAILED
        async with AsyncExitStack() as stack:
            storage = await open_storage(loaded)
            stack.push_async_callback(storage.close)
            show = store_command.ProgressLine(quiet)
            with store_command.audited(loaded) as log:
                report = await new_collection(loaded, storage, dry_run=dry_run, progress=show).run()
                if not dry_run:
                    log.ran("gc", report.done)
        for line in lines(report, loaded.pushes.grace):
            show.say(line)
        return 0

    store_command.run(config, ("origin", "replica"), work)


def lines(report: CollectionReport, grace: float) -> list[str]:
    """What a collection found and did. `grace`: seconds that what nothing refers to is spared."""
    shown = [
        f"{name}: {size(each.bytes)}, {each.loose} loose ({size(each.loose_bytes)})"
        + (f", {each.remembered} only by history ({size(each.remembered_bytes)})" if each.remembered else "")
        for name, each in sorted(report.repositories.items())
    ]
    if report.elsewhere:
        shown.append(f"of those {report.elsewhere} are in use by another repository, and stay")
    if report.dry_run:
        shown.append(f"would remove {report.removable} ({size(report.removable_bytes)})")
    else:
        shown.append(f"removed {report.removed} ({size(report.removed_bytes)}), spared {report.spared}")
    shown.append(f"in their grace: {report.waiting} ({size(report.waiting_bytes)})" + _next(report, grace))
    if any(each.remembered for each in report.repositories.values()):
        shown.append("only by history: what a tag pointed at before is kept for `tags undo` (pushes.history)")
    if report.uploads_expired or report.tags_forgotten:
        shown.append(
            f"{report.uploads_expired} uploads expired, {report.tags_forgotten} deleted tags forgotten"
        )
    return shown


def _next(report: CollectionReport, grace: float) -> str:
    """When what waits can go."""
    spared = f"what nothing refers to is spared for {duration_text(grace)} (pushes.grace)"
    if report.dry_run and report.fresh:
        return f"; {spared}, which begins with a run that is no dry run: {report.fresh} were not seen loose before"
    return f"; {spared}, then a run removes it" if report.waiting else ""
