"""`registry-mesh quotas`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from registry_mesh.cli.store import store_command
from registry_mesh.config.scalars import size_text

if TYPE_CHECKING:
    from registry_mesh.config.schema import Config
    from registry_mesh.repositories.quotas import Used


@click.command(
    epilog="Exit codes: 0 each project has room; 1 one has none, or the store failed; 2 the configuration is wrong."
)
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The same for programs; bytes.")
def command(config: Path, as_json: bool) -> None:
    """Say how much of its quota (`pushes.quotas`) each project of the origin that CONFIG describes uses, counted now.

    \b
    Example:
      registry-mesh quotas config/origin.yaml
    """

    async def work(loaded: Config) -> int:
        from registry_mesh.assembly.sources.repositories import open_repositories
        from registry_mesh.assembly.sources.storage import open_storage

        async with AsyncExitStack() as stack:
            storage = await open_storage(loaded)
            stack.push_async_callback(storage.close)
            found = await open_repositories(loaded, storage).quotas.used()
        if as_json:
            click.echo(json.dumps({"projects": [asdict(each) for each in found]}, indent=2))
        else:
            click.echo("\n".join(lines(found)))
        return int(any(each.taken >= each.limit for each in found))

    store_command.run(config, ("origin",), work)


def lines(found: Sequence[Used]) -> Iterator[str]:
    """A table, the fullest project first."""
    if not found:
        yield "No project has a quota: pushes.quotas is empty."
        return
    width = max(7, *(len(each.project) for each in found))
    yield f"{'PROJECT':{width}}  {'USED':>10}  {'QUOTA':>10}  FULL"
    for each in sorted(found, key=lambda one: (-one.taken / one.limit, one.project)):
        share = f"{100 * each.taken / each.limit:.0f} %"
        yield f"{each.project:{width}}  {size_text(each.taken):>10}  {size_text(each.limit):>10}  {share}"
