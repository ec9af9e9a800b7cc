"""`registry-mesh replicate --plan`: what a run would do now, of the sources as they are and the store as it is."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from registry_mesh.cli.rules.rule_plans import rules_digest, tell
from registry_mesh.config.recorded_listing import beside_of, is_beside, join, recorded
from registry_mesh.config.rule_files import contents, parse_rules, rule_paths
from registry_mesh.oci.reference import RegistryName
from registry_mesh.replication.listing import Beside
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
    own = RegistryName(config.registry) if config.role == "origin" and config.registry else None
    texts = contents(rule_paths(Path(config.rules)))
    rules = parse_rules(texts, (*config.registries, *filter(None, (own,))))
    rules = replace(rules, rules=tuple(rule for rule in rules if rule.registry != own))
    storage = await open_storage(config)
    try:
        if own is None:
            held_lines = recording.held(storage, config.registries)
        else:
            held_lines = recording.held_by_origin(config, storage, own)
        lines = [line async for line in held_lines]
    finally:
        await storage.close()
    shown = [recorded(line) async for line in recording.seen(config, rules)]
    here, beside = [recorded(line) for line in lines if not is_beside(line)], Beside()
    for line in filter(is_beside, lines):
        join(beside, beside_of(line))
    held = {(each.place.registry, each.place.repository): each for each in here}
    node = Node(node_name(config), own=own)
    found = plan(rules, shown, held, time.time(), node, rules_digest(texts), beside)
    return tell(found, rules, Link(config.replication.rate), format)
