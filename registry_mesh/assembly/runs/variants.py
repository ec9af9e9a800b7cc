"""Variants of images that an origin has: made after each run of its rules."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final

from registry_mesh.assembly.sources.audited import Keep
from registry_mesh.assembly.sources.repositories import open_repositories
from registry_mesh.assembly.sources.storage import work_folder
from registry_mesh.config.schema import Config
from registry_mesh.content.snapshot.records.made_tags import MadeTags
from registry_mesh.content.snapshot.records.outcome import Outcome, Trouble
from registry_mesh.content.variants.wanted_variants import VariantsMade, WantedVariants
from registry_mesh.oci.reference import RegistryName
from registry_mesh.ports.storage import Storage
from registry_mesh.replication.rules import Rules
from registry_mesh.repositories.dated import DatedRepositories

_FOLDER: Final = "variants"


async def make_variants(
    config: Config, storage: Storage, own: RegistryName, rules: Rules, keep: Keep | None = None
) -> VariantsMade:
    """Make those that rules want and that are not there; where no rule wants any, look at nothing. `StoreBroken`."""
    if not any(rule.variants for rule in rules):
        return VariantsMade()
    made = MadeTags(storage.records)
    await made.load()
    filled = {place.repository: made.of(place) for place in made.all if place.registry == own}
    origin = DatedRepositories(open_repositories(config, storage, keep=keep))
    return await WantedVariants(rules, own, origin, filled, work_folder(config, _FOLDER)).run(time.time())


def with_variants(outcome: Outcome, made: VariantsMade) -> Outcome:
    """The outcome of a run and of the variants made after it."""
    troubles = (Trouble(what, why) for what, why in made.troubles.items())
    return replace(outcome, troubles=(*outcome.troubles, *troubles), notes=(*outcome.notes, *made.notes))
