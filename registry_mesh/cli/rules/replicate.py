"""`registry-mesh replicate`."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from registry_mesh.cli.store.store_command import audited
from registry_mesh.config.finding import ConfigInvalid, Finding, Mark
from registry_mesh.config.load import load
from registry_mesh.config.schema import Config

if TYPE_CHECKING:
    from registry_mesh.assembly.runs.replicator import Replicator
    from registry_mesh.content.snapshot.records.outcome import Outcome

EXIT_INCOMPLETE: Final = 1
EXIT_INVALID: Final = 2
EXIT_INTERRUPTED: Final = 130


@click.command(
    epilog="Exit codes: 0 everything that is wanted is held; 1 something failed, and is listed; 2 the configuration or "
    "a rule file is wrong; 3 the plan has a conflict, or is stopped by the guard; 130 interrupted (what came is kept)."
)
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--once", is_flag=True, help="Run once and end; else again and again, as `replication.interval` says."
)
@click.option(
    "--plan", "--dry-run", "plan", is_flag=True, help="Say what a run would do now, and do nothing."
)
@click.option(
    "--format", type=click.Choice(["text", "json", "markdown"]), default="text", help="Of the plan: for whom."
)
@click.option("--quiet", is_flag=True, help="No progress, only the result.")
def command(config: Path, once: bool, plan: bool, format: str, quiet: bool) -> None:
    """Bring to the replica, or origin, that CONFIG describes what its rules select.

    What is held already is not fetched again; a tag is switched when everything it stands for is here and checked.
    The replica may be serving meanwhile, and may run its rules itself: runs take turns. A run that is killed is gone on
    with by the next.

    \b
    Examples:
      registry-mesh replicate config/replica.yaml --once
      registry-mesh replicate config/replica.yaml --plan
    """
    try:
        loaded = _loaded(config)
        work = _planned(loaded, format) if plan else _replicate(loaded, once, quiet)
        sys.exit(asyncio.run(work))
    except ConfigInvalid as invalid:
        click.echo(str(invalid), err=True)
        sys.exit(EXIT_INVALID)
    except KeyboardInterrupt:
        click.echo("interrupted; what came is kept", err=True)
        sys.exit(EXIT_INTERRUPTED)


def _loaded(path: Path) -> Config:
    """`ConfigInvalid` where it cannot be used, or is not a replica's."""
    loaded = load(path).fit()
    for warning in loaded.warnings:
        click.echo(str(warning), err=True)
    if loaded.config.rules is None or loaded.config.role == "site":
        why = "it brings what rules take by itself" if loaded.config.rules else "it has no rules to run"
        what = f"{loaded.config.role}: {why}"
        raise ConfigInvalid(
            [Finding(str(path), Mark(1, 1), ("role",), what, "give the configuration of a node with rules")]
        )
    return loaded.config


async def _planned(config: Config, format: str) -> int:
    from registry_mesh.assembly.sources.storage import NotBuilt
    from registry_mesh.cli.rules.run_plans import tell_plan
    from registry_mesh.ports.failures import Failure

    try:
        return await tell_plan(config, format)
    except (Failure, NotBuilt) as fault:
        click.echo(f"error: {getattr(fault, 'reason', fault)}", err=True)
        return EXIT_INCOMPLETE


async def _replicate(config: Config, once: bool, quiet: bool) -> int:
    from registry_mesh.assembly.runs.replicator import RulesFaulty, open_replicator
    from registry_mesh.assembly.sources.storage import NotBuilt
    from registry_mesh.ports.failures import Failure

    try:
        async with contextlib.AsyncExitStack() as stack:
            keep = stack.enter_context(audited(config)).keep if config.role == "origin" else None
            replicator = await stack.enter_async_context(open_replicator(config, keep))
            while True:
                outcome = await _shown(replicator, quiet, once)
                if once or not config.replication.interval:
                    return 0 if outcome.complete else EXIT_INCOMPLETE
                await asyncio.sleep(max(1.0, replicator.interval))
    except Failure as fault:
        click.echo(f"error: {fault.reason}", err=True)
    except RulesFaulty as fault:
        click.echo(str(fault), err=True)
        return EXIT_INVALID
    except NotBuilt as fault:
        click.echo(f"error: {fault}", err=True)
    return EXIT_INCOMPLETE


async def _shown(replicator: Replicator, quiet: bool, by_hand: bool) -> Outcome:
    """One run, its progress while it lasts, and what it came to."""
    from registry_mesh.cli.replication_view import outcome_lines, show_progress

    def busy(owner: int | None) -> None:
        click.echo(
            f"another run is under way{f' (process {owner})' if owner else ''}; waiting for it", err=True
        )

    began = time.monotonic()
    showing = asyncio.create_task(show_progress(lambda: replicator.meter, sys.stderr)) if not quiet else None
    try:
        outcome = await replicator.run(busy, by_hand=by_hand)
    finally:
        if showing is not None:
            showing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await showing
    for line in outcome_lines(outcome, time.monotonic() - began):
        click.echo(line, err=not outcome.complete)
    return outcome
