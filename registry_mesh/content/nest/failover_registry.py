"""A registry as the first of several parents that can tell: `failover` for what spans repositories."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from registry_mesh.content.nest.candidates import Candidate
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.failover import Failover
from registry_mesh.content.nest.hedges import Hedge
from registry_mesh.content.nest.parent_rivals import ParentRivals
from registry_mesh.content.nest.spread import Spread
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.oci.refusals import Refusal
from registry_mesh.ports.failures import Failure, SourceUnavailable
from registry_mesh.ports.parents import ParentRegistry
from registry_mesh.ports.repositories import Repository


class FailoverRegistry:
    """Implements `ports.repositories.RegistrySource` over groups of parents."""

    def __init__(
        self,
        registry: RegistryName,
        groups: Sequence[Sequence[ParentRegistry]],
        distrusted: Distrusted,
        spread: Spread = Spread.LEAST_LOAD,
        hedge: Hedge = Hedge.ALIKE,
    ) -> None:
        self._hedge = hedge
        self._spread = spread
        self._registry = registry
        self._groups = groups
        self._distrusted = distrusted

    @property
    def rivals(self) -> ParentRivals:
        """How fast its parents are, one compared with the others."""
        return ParentRivals(self._groups, self._distrusted)

    def repository(self, name: RepositoryName) -> Repository:
        """The repository, each request of which goes to the first parent that can answer it."""
        groups = [[Candidate(each.parent, each.repository(name)) for each in group] for group in self._groups]
        source = Failover(groups, self._distrusted, self._spread, self._hedge)
        return Repository(self._registry, name, source, source, source, source)

    async def repositories(self) -> AsyncIterator[RepositoryName]:
        """The whole list of one parent: of the first that gives it to the end."""
        reasons: list[str] = []
        failures: list[Failure] = []
        for parent in (each for group in self._groups for each in group):
            try:
                names = [name async for name in parent.repositories()]
            except (Failure, Refusal) as fault:
                if isinstance(fault, Failure):
                    failures.append(fault)
                reasons.append(f"{parent.parent.name}: {fault.reason}")
                continue
            for name in names:
                yield name
            return
        waits = [failure.retry_after for failure in failures if failure.retry_after is not None]
        raise SourceUnavailable(
            "; ".join(reasons) or "no parent is configured", retry_after=min(waits) if waits else None
        )
