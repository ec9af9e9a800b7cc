"""`registry-mesh verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from registry_mesh.cli import store_command
from registry_mesh.cli.replication_view import size

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
        from registry_mesh.assembly.self_check import open_self_check

        wrong = mended = 0
        show = store_command.progress(quiet)
        async with open_self_check(loaded, repair=repair, progress=show) as check:
            async for finding in check.findings():
                click.echo(str(finding))
                wrong += not finding.repaired
                mended += finding.repaired
        click.echo(
            f"{check.repositories} repositories, {check.blobs} blobs, {size(check.bytes)}: "
            f"{wrong} wrong, {mended} mended"
            + (f"; {check.left_out} not here because rules leave them out" if check.left_out else "")
        )
        return store_command.EXIT_FAILED if wrong else 0

    store_command.run(config, ("origin", "replica"), work)
