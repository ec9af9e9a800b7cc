"""The site: serves the nodes from what it holds, and from its parents by way of that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import lru_cache

from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.fill.moving import moving
from registry_mesh.content.fill.rivals import Rivals
from registry_mesh.content.nest.belonging import ByName
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.failover_registry import FailoverRegistry
from registry_mesh.content.nest.freshness import Freshness
from registry_mesh.content.nest.hedges import Hedge
from registry_mesh.content.nest.names import Names, NamesOfPlace
from registry_mesh.content.nest.negative import Negatives
from registry_mesh.content.nest.pull_through import PullThrough
from registry_mesh.content.nest.remembered import Remembered
from registry_mesh.content.nest.remembered_manifests import RememberedManifests
from registry_mesh.content.nest.remembered_repository import RememberedTags
from registry_mesh.content.nest.remembered_tags import remembered_repositories
from registry_mesh.content.nest.shared import SharedFirst
from registry_mesh.content.nest.siblings import SiblingsFirst
from registry_mesh.content.nest.spread import Spread
from registry_mesh.content.nest.unproven import Ranges
from registry_mesh.oci.reference import RegistryName, RepositoryName, full_name
from registry_mesh.oci.refusals import NameUnknown
from registry_mesh.oci.registries import RegistryNames
from registry_mesh.ports.blobs import BlobSource
from registry_mesh.ports.cache import CacheStore
from registry_mesh.ports.moving import MovingFill
from registry_mesh.ports.parents import ParentRegistry
from registry_mesh.ports.place import Place
from registry_mesh.ports.records import Records
from registry_mesh.ports.repositories import Repository
from registry_mesh.ports.shared import SharedStore
from registry_mesh.ports.siblings import Siblings


@dataclass(frozen=True, slots=True)
class SiteRegistry:
    """One registry that the site serves: groups of parents, and how old its tags may be."""

    parents: Sequence[Sequence[ParentRegistry]]
    freshness: Freshness = field(default_factory=Freshness)
    ranges: Ranges = Ranges.UNPROVEN
    spread: Spread = Spread.LEAST_LOAD
    hedge: Hedge = Hedge.ALIKE
    siblings: Siblings | None = None
    """The servers that bring blobs together, where there are several."""


class Site:
    """See the module. `close` it, then `fills`, then the store."""

    name = "site"

    def __init__(
        self,
        store: CacheStore,
        records: Records,
        fills: Fills,
        registries: Mapping[RegistryName, SiteRegistry],
        *,
        default: RegistryName | None = None,
        lied: Callable[[str], None] | None = None,
        paced: Callable[[str, float, float], None] | None = None,
        hedged: Callable[[str, str], None] | None = None,
        left: Callable[[str, float], None] | None = None,
        shared: SharedStore | None = None,
        aliases: Mapping[RegistryName, RegistryName] | None = None,
    ) -> None:
        """`shared`, where blobs of `store` are shared with other sites. `aliases`: other names of registries."""
        self._store = store
        self._records = records
        self._shared = shared
        self.fills = fills
        self._registries = dict(registries)
        self._known = RegistryNames(registries, aliases)
        self._default = default or (next(iter(registries)) if len(registries) == 1 else None)
        self._distrusted = Distrusted(count=lied, paced=paced, hedged=hedged, left=left)
        self._manifests = RememberedManifests(store, records)
        self._names = Names(store, records)
        self._remembered = {
            name: Remembered(records, alive=_alive(registry), offline=_offline(registry), locks=store)
            for name, registry in registries.items()
        }
        self._negatives = {
            name: Negatives(registry.freshness.digest_negative_ttl) for name, registry in registries.items()
        }
        self._repository = lru_cache(10_000)(self._made)

    @property
    def registries(self) -> Set[str]:
        """The registries that the site serves."""
        return self._known

    def repository(self, registry: str | None, name: RepositoryName) -> Repository:
        """The repository by way of the site's store; made once and kept. `NameUnknown` for a registry not served."""
        key = self._known.find(registry) if registry is not None else self._default
        if key is None or key not in self._registries:
            raise NameUnknown("this site does not serve that registry", registry=registry or "")
        return self._repository(key, full_name(key, name))

    def _made(self, registry: RegistryName, name: RepositoryName) -> Repository:
        served = self._registries[registry]
        parents = FailoverRegistry(registry, served.parents, self._distrusted, served.spread, served.hedge)
        source = parents.repository(name)
        place = Place(registry, name)
        names = self._names.of(place)
        remembered = self._remembered[registry]
        asked = self._negatives[registry].of(source.blobs, source.manifests, names)
        manifests = self._manifests.of(asked, place, names)
        tags = RememberedTags(
            registry, name, source.tags, source.referrers, remembered, served.freshness, manifests, names
        )
        return Repository(
            registry,
            name,
            self._blobs(asked, place, names, served, parents.rivals),
            manifests,
            tags,
            tags,
        )

    def _blobs(
        self, source: BlobSource, place: Place, names: NamesOfPlace, served: SiteRegistry, rivals: Rivals
    ) -> PullThrough:
        doubt, shared, ranges = self._distrusted.doubt, self._shared, served.ranges
        own = ByName(names, source, shared=shared is not None)
        brought = self._brought(source, place.repository, served.siblings)
        if shared is None:
            note = self._distrusted.note
            return PullThrough(
                self._store,
                source,
                self.fills,
                note,
                place,
                doubt=doubt,
                belonging=own,
                ranges=ranges,
                rivals=rivals,
                brought_by=brought,
            )
        first = SharedFirst(shared.shared, source, self._distrusted)
        if brought is not None:
            brought = SharedFirst(shared.shared, brought, self._distrusted)
        return PullThrough(
            shared.near,
            first,
            self.fills,
            first.distrust,
            place,
            shared.redirects,
            doubt,
            own,
            ranges,
            rivals,
            brought,
        )

    def _brought(
        self, parents: BlobSource, name: RepositoryName, siblings: Siblings | None
    ) -> BlobSource | None:
        """Where fills take bytes from, if not from the parents alone."""
        if siblings is None:
            return None
        others = [each.repository(name) for each in siblings.others]
        return SiblingsFirst(siblings.server, others, parents, self._distrusted)

    async def repositories(
        self, registry: RegistryName | None, last: str = ""
    ) -> AsyncIterator[RepositoryName]:
        """Those of which a tag is remembered: what was pulled here. What registries hold beyond, a site cannot tell."""
        key = registry or self._default
        if key is None or key not in self._registries:
            return
        for name in sorted(await remembered_repositories(self._records, key)):
            if name > last:
                yield name

    def forget(self) -> None:
        """Drop what is in memory of records, and of what parents lack: another process may have asked since."""
        self._names.forget()
        for remembered in self._remembered.values():
            remembered.forget()
        for negatives in self._negatives.values():
            negatives.forget()

    def refresh(self, freshness: Mapping[RegistryName, Freshness]) -> None:
        """From now on answers of these registries may be so old; requests that run keep to what held before."""
        for name, changed in freshness.items():
            self._registries[name] = replace(self._registries[name], freshness=changed)
            self._negatives[name].ttl = changed.digest_negative_ttl
        self._repository.cache_clear()

    @property
    def filling(self) -> int:
        """Blobs on their way in."""
        return len(self.fills.open)

    @property
    def following(self) -> int:
        """Readers that follow them."""
        return sum(len(fill.state.readers) for fill in self.fills.open)

    def moving(self) -> list[MovingFill]:
        """Each blob on its way in, as far as it is read or fetched."""
        return [moving(fill) for fill in self.fills.open if fill.state.phase.joined]

    async def close(self) -> None:
        """End what runs in the background."""
        for remembered in self._remembered.values():
            await remembered.close()
        await self._manifests.close()
        await self._names.close()


def _alive(registry: SiteRegistry) -> Callable[[], bool]:
    """Whether some parent is known to answer."""

    def alive() -> bool:
        return any(p.parent.confirmed for group in registry.parents for p in group)

    return alive


def _offline(registry: SiteRegistry) -> Callable[[], bool]:
    """Whether none of its parents can be reached at all."""

    def offline() -> bool:
        return all(p.parent.lost for group in registry.parents for p in group)

    return offline
