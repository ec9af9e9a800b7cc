"""`registry-mesh replicate --plan`: what a run would do now, of the sources as they are and the store as it is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from registry_mesh.cli.rule_plans import rules_digest, tell
from registry_mesh.config.recorded_listing import recorded
from registry_mesh.config.rule_files import load_rules, rule_paths
from registry_mesh.replication.plan_totals import Link
from registry_mesh.replication.planning import Node, plan

if TYPE_CHECKING:
    from registry_mesh.config.schema import Config


async def tell_plan(config: Config, format: str) -> int:
    """Print it, and give the exit code. Nothing is stored, no blob is fetched. `ConfigInvalid`, `Failure`."""
    from registry_mesh.assembly.labels import node_name
    from registry_mesh.assembly.runs import recording
    from registry_mesh.assembly.sources.storage import open_storage

    assert config.rules is not None, "the checks demand it of a replica"
    paths = rule_paths(Path(config.rules))
    rules = load_rules(paths, tuple(config.registries))
    storage = await open_storage(config)
    try:
        here = [recorded(line) async for line in recording.held(storage, config.registries)]
    finally:
        await storage.close()
    shown = [recorded(line) async for line in recording.seen(config, rules)]
    held = {(each.place.registry, each.place.repository): each for each in here}
    found = plan(rules, shown, held, time.time(), Node(node_name(config)), rules_digest(tuple(paths)))
    return tell(found, rules, Link(config.replication.rate), format)
