"""One run of an origin's rules over what it has: which variants they want, made where they are not there."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from registry_mesh.content.variants.making import VariantsOf
from registry_mesh.content.variants.spool import Unmakeable
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.oci.refusals import Refusal
from registry_mesh.ports.failures import Failure, StoreBroken
from registry_mesh.ports.repositories import Repository
from registry_mesh.replication.decision import Decision, Place, Verdict, decide
from registry_mesh.replication.rules import Platforms, Rule, Rules, union
from registry_mesh.replication.tag_facts import TagFacts
from registry_mesh.replication.wanted import is_companion
from registry_mesh.tasks.threads import offload

Filled = Mapping[RepositoryName, Mapping[Tag, tuple[str, ...]]]
"""Tags that rules make of other registries', and the names of these rules."""


class ValuedRepository(Protocol):
    """One repository of an origin."""

    @property
    def kept(self) -> Repository:
        """What is in it, with its pushes."""
        ...

    async def values(self) -> Mapping[Tag, tuple[Digest, float]]:
        """Its tags, what each points at, and since when, in seconds since the epoch."""
        ...


class ValuedStore(Protocol):
    """All repositories of an origin."""

    def repository(self, registry: RegistryName, name: RepositoryName) -> ValuedRepository:
        """The repository, whether anything is in it or not."""
        ...

    def repositories(self, registry: RegistryName) -> AsyncIterator[RepositoryName]:
        """Those that exist."""
        ...


@dataclass(slots=True)
class VariantsMade:
    """What came of a run; `troubles` by reference."""

    made: int = 0
    size: int = 0
    troubles: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class WantedVariants:
    """See the module. `folder`: where files are worked on; what is left there of a process that died is removed."""

    def __init__(
        self, rules: Rules, registry: RegistryName, origin: ValuedStore, filled: Filled, folder: Path
    ) -> None:
        self._rules = rules
        self._registry = registry
        self._origin = origin
        self._filled = filled
        self._folder = folder
        self._found = VariantsMade()

    async def run(self, now: float) -> VariantsMade:
        """Make what is wanted and not there. What goes wrong with one is told, and stops no other. `StoreBroken`."""
        await offload(shutil.rmtree, self._folder, ignore_errors=True)
        await offload(self._folder.mkdir, parents=True, exist_ok=True)
        async for name in self._origin.repositories(self._registry):
            await self._look(name, now)
        await offload(shutil.rmtree, self._folder, ignore_errors=True)
        return self._found

    async def _look(self, name: RepositoryName, now: float) -> None:
        by = [rule for rule in self._rules.of(self._registry, name) if rule.variants]
        filled = self._filled.get(name, {})
        if not by and not filled:
            return
        origin = self._origin.repository(self._registry, name)
        tags = await origin.values()
        facts = {
            tag: TagFacts(digest, at, held=digest, here=at)
            for tag, (digest, at) in tags.items()
            if not is_companion(tag)
        }
        wanted: dict[tuple[Digest, str], list[Platforms]] = {}
        told: dict[Digest, Tag] = {}
        decided = decide(Place(self._registry, name), self._rules, by, facts, now)
        for tag in facts:
            digest = tags[tag][0]
            for rule in (*_taking(decided.get(tag)), *self._making(filled.get(tag, ()))):
                told[digest] = tag
                for kind in rule.variants:
                    wanted.setdefault((digest, kind), []).append(rule.platforms)
        for (digest, kind), platforms in sorted(
            wanted.items(), key=lambda each: (str(each[0][0]), each[0][1])
        ):
            await self._make(origin.kept, told[digest], digest, kind, union(platforms))

    def _making(self, names: Iterable[str]) -> list[Rule]:
        return [rule for rule in self._rules if rule.name in names and rule.variants]

    async def _make(
        self, repository: Repository, tag: Tag, digest: Digest, kind: str, platforms: Platforms
    ) -> None:
        what = f"{self._registry}/{repository.name}:{tag}"
        try:
            made = await VariantsOf(repository, self._folder).make(digest, kind, platforms)
        except StoreBroken:
            raise
        except (Unmakeable, Failure, Refusal) as fault:
            self._found.troubles[f"{kind} of {what}"] = fault.reason
            return
        if made.fresh:
            self._found.made += made.fresh
            self._found.size += made.size
            self._found.notes.append(f"{kind} of {what} was made: {made.size / 2**20:.1f} MiB")


def _taking(decision: Decision | None) -> tuple[Rule, ...]:
    return decision.rules if decision is not None and decision.verdict is Verdict.TAKE else ()
