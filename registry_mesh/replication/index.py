"""Which rules may take a repository: found by registry and first segment; a thousand rules cost little a name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.replication.pattern import Pattern
from registry_mesh.replication.rules import Rule, Rules

_HEAD: Final = re.compile(r"([a-z0-9._-]+)/")


class RuleIndex:
    """The rules that one node does."""

    def __init__(self, rules: Rules, node: str = "", groups: Iterable[str] = ()) -> None:
        self.rules = rules
        groups = tuple(groups)
        self._by_head: dict[tuple[str, str], list[int]] = {}
        self._open: dict[str, list[int]] = {}
        self._every = [rule for rule in rules if not node or rule.is_for(node, groups)]
        for number, rule in enumerate(self._every):
            heads = [_head(each) for each in rule.repositories.patterns if not each.negative]
            if any(head is None for head in heads):
                self._open.setdefault(rule.registry, []).append(number)
                continue
            for head in {each for each in heads if each is not None}:
                self._by_head.setdefault((rule.registry, head), []).append(number)

    def of(self, registry: RegistryName, repository: RepositoryName) -> tuple[Rule, ...]:
        """The rules that take something of a repository, in their order."""
        head = repository.partition("/")[0]
        numbers = (*self._by_head.get((registry, head), ()), *self._open.get(registry, ()))
        found = (self._every[number] for number in sorted(numbers))
        return tuple(rule for rule in found if repository in rule.repositories)


def _head(pattern: Pattern) -> str | None:
    """The segment with which every name begins that the pattern takes; None where there are several."""
    if pattern.exact is not None:
        return pattern.exact.partition("/")[0]
    if ":" in pattern.text or "&" in pattern.text:
        return None
    found = _HEAD.match(pattern.text)
    return found[1] if found else None
