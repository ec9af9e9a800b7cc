"""Who is asked for what has rotted or is missing: a node's parents; an origin's children, as far as they are named."""

from __future__ import annotations

from registry_mesh.assembly.sources.parents import Parents, Seen
from registry_mesh.config.registries import Registry
from registry_mesh.config.schema import Config
from registry_mesh.roles.repair import ParentsOfRepositories
from registry_mesh.telemetry.instruments import Instruments


def menders(config: Config, instruments: Instruments | None = None, seen: Seen | None = None) -> Parents:
    """To be entered. An origin's children are no parents: what they do is not counted as what parents do."""
    if config.role != "origin":
        return Parents(config, instruments, seen)
    children = Registry(parents=tuple((url,) for url in config.scrub.children), ns="always")
    named = {config.registry: children} if config.registry and config.scrub.children else {}
    return Parents(config.model_copy(update={"registries": named}))


def by_repository(config: Config, parents: Parents) -> ParentsOfRepositories:
    """The repositories of those who are asked, by the name that they have here."""
    return ParentsOfRepositories(parents.groups, prefixed=config.role != "origin")
