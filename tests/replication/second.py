"""Rules of the second edition from a text."""

from __future__ import annotations

from registry_mesh.config.rule_files import parse_rules
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.replication.decision import Decision, Place, decide
from registry_mesh.replication.rules import Rules
from registry_mesh.replication.tag_facts import TagFacts

AA, BB = (Digest("sha256", letter * 64) for letter in "ab")
DAY = 86400.0


def rules_of(text: str) -> Rules:
    """`ConfigInvalid`."""
    return parse_rules([("rules.yaml", f"schema: registry-mesh/rules/2\n{text}".encode())])


def decisions(
    rules: Rules, name: str, tags: dict[str, TagFacts] | list[str], now: float = 0.0
) -> dict[str, Decision]:
    """Of `REGISTRY/REPOSITORY`."""
    registry, _, repository = name.partition("/")
    place = Place(RegistryName(registry), RepositoryName(repository))
    facts = tags if isinstance(tags, dict) else dict.fromkeys(tags, TagFacts())
    of = rules.of(place.registry, place.repository)
    return dict(decide(place, rules, of, {Tag(tag): each for tag, each in facts.items()}, now))
