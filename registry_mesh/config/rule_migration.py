"""Rule files of the first edition, written as the second, and what means something else then."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from registry_mesh.config.rule_entries import FIRST, SECOND
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.replication.rules import Rule, Rules

_SCHEMA: Final = re.compile(rf"""^(\s*["']?schema["']?\s*:\s*["']?){re.escape(FIRST)}""", re.MULTILINE)


def migrated(text: str) -> str | None:
    """The same file with everything else as it stands, comments too; None where it is not of the first edition."""
    found, count = _SCHEMA.subn(rf"\g<1>{SECOND}", text, count=1)
    return found if count else None


def doubts(first: Rules) -> Iterator[str]:
    """Patterns that may mean something else."""
    for rule in first:
        for pattern in (*rule.repositories.patterns, *rule.tags.patterns):
            if (
                "{" in pattern.text
                and "**" in pattern.text
                and not pattern.text.lstrip("!").startswith("re:")
            ):
                yield f"{rule.name}: {pattern}: braces are an abbreviation now: ** in or beside them may span folders"
        if any(pattern.is_version for pattern in rule.tags.patterns):
            yield f"{rule.name}: tags with leading zeros, such as 22.04, are versions now"


def changes(
    first: Rules, second: Rules, catalog: Iterable[tuple[RegistryName, RepositoryName, Iterable[Tag]]]
) -> Iterator[str]:
    """References of a catalog that come or go, with their rule."""
    now = {rule.name: rule for rule in second}
    for registry, repository, tags in catalog:
        for rule in (each for each in first if each.registry == registry and each.name in now):
            for tag in tags:
                before, after = _takes(rule, repository, tag), _takes(now[rule.name], repository, tag)
                if before != after:
                    yield f"{'+' if after else '-'} {registry}/{repository}:{tag}  {rule.name}"


def _takes(rule: Rule, repository: str, tag: str) -> bool:
    return repository in rule.repositories and tag in rule.tags
