"""`registry-mesh verify`."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from registry_mesh.cli.replication_view import size
from registry_mesh.cli.store import store_command

if TYPE_CHECKING:
    from registry_mesh.config.schema import Config


@click.command(
    epilog="Exit codes: 0 all is well, or was mended; 1 something is wrong, and is listed; 2 the configuration is "
    "wrong."
)
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--repair", is_flag=True, help="Fetch again from the parents what is missing or has rotted.")
@click.option("--quiet", is_flag=True, help="No progress, only what is wrong.")
def command(config: Path, repair: bool, quiet: bool) -> None:
    """Check every reference and every byte of the store that CONFIG describes, while it serves.

    \b
    Example:
      registry-mesh verify config/origin.yaml
    """

    async def work(loaded: Config) -> int:
        from registry_mesh.assembly.runs.self_check import open_self_check
        from registry_mesh.assembly.watch.verified import Verified
        from registry_mesh.ports.failures import Failure

        wrong, mended, first = 0, 0, ""
        show = store_command.ProgressLine(quiet)
        async with open_self_check(loaded, repair=repair, progress=show) as (check, records):
            async for finding in check.findings():
                show.say(str(finding))
                wrong += not finding.repaired
                mended += finding.repaired
                first = first or ("" if finding.repaired else str(finding))
            with suppress(Failure):  # a store that is full can be checked all the same
                await Verified(time.time(), wrong, first).keep(records)
        show.say(
            f"{check.repositories} repositories, {check.blobs} blobs, {size(check.bytes)}: "
            f"{wrong} wrong, {mended} mended"
            + (f"; {check.left_out} not here because rules leave them out" if check.left_out else "")
        )
        if wrong:
            show.say(f"next: {_next(loaded, repair)}")
        return store_command.EXIT_FAILED if wrong else 0

    store_command.run(config, ("origin", "replica"), work)


def _next(config: Config, repaired: bool) -> str:
    """What mends what is wrong."""
    if config.role == "origin" and config.scrub.children:
        if not repaired:
            return "registry-mesh verify --repair fetches it back from scrub.children"
        return "its children do not have it either, or cannot be asked: push the images again"
    if config.role == "origin":
        return (
            "an origin has nobody to fetch from: push again the images that need it; what a replica or site still "
            "holds is fetched back by --repair once scrub.children names it; what no tag needs goes with gc"
        )
    if not repaired:
        return "registry-mesh verify --repair fetches it again from the parents"
    return "its parents do not have it either, or cannot be asked (registry-mesh parents): replicate again"
