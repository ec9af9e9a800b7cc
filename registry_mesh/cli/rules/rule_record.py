"""`registry-mesh rules record`."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from registry_mesh.cli.store import store_command
from registry_mesh.config.recorded_listing import SCHEMA
from registry_mesh.config.rule_files import load_rules, rule_paths

if TYPE_CHECKING:
    from registry_mesh.config.schema import Config

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(
    epilog="Exit codes: 0 written; 1 a source or the store failed; 2 the configuration or a rule file is wrong."
)
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--listing", type=_FILE, help="Write what the sources show now; asks them.")
@click.option("--held", type=_FILE, help="Write what the replica holds.")
@click.option(
    "--rules",
    "branch",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder of rules to look with in place of the replica's own, such as a branch's.",
)
def record(config: Path, listing: Path | None, held: Path | None, branch: Path | None) -> None:
    """Write down what the sources of the replica that CONFIG describes show, and what it holds: for `rules plan`,
    `diff` and `lint`, which need no network then. The manifests of wanted tags are read; nothing is stored.

    \b
    Example:
      registry-mesh rules record config/replica.yaml --listing seen.jsonl --held held.jsonl
    """

    async def write(loaded: Config) -> int:
        from registry_mesh.assembly.runs import recording
        from registry_mesh.assembly.sources.storage import open_storage

        assert loaded.rules is not None, "the checks demand it of a replica"
        if listing is not None:
            rules = load_rules(rule_paths(branch or loaded.rules), tuple(loaded.registries))
            with listing.open("w") as out:
                out.write(json.dumps({"schema": SCHEMA}) + "\n")
                async for line in recording.seen(loaded, rules):
                    out.write(json.dumps(line) + "\n")
        if held is not None:
            async with AsyncExitStack() as stack:
                storage = await open_storage(loaded)
                stack.push_async_callback(storage.close)
                with held.open("w") as out:
                    out.write(json.dumps({"schema": SCHEMA}) + "\n")
                    async for line in recording.held(storage, loaded.registries):
                        out.write(json.dumps(line) + "\n")
        return 0

    store_command.run(config, ("replica",), write)
