"""The role that a configuration names, over open storage."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack

from registry_mesh.assembly.sources.made_of import MadeOf
from registry_mesh.assembly.sources.parents import Parents, Seen
from registry_mesh.assembly.sources.repositories import open_repositories
from registry_mesh.assembly.sources.storage import cache_of
from registry_mesh.auth.access import Action, Asked, Policy, Verdict
from registry_mesh.config.registries import Registry
from registry_mesh.config.schema import Config
from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.fill.unkept import UnkeptBlobs
from registry_mesh.content.nest.followed_tags import FollowedTags
from registry_mesh.content.nest.freshness import Freshness
from registry_mesh.content.nest.hedges import Hedge
from registry_mesh.content.nest.spread import Spread
from registry_mesh.content.nest.unproven import Ranges
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.ports.pushes import Pusher
from registry_mesh.ports.role import Role
from registry_mesh.ports.storage import Storage
from registry_mesh.repositories.of_replica import ReplicaRepositories
from registry_mesh.roles.origin import Origin
from registry_mesh.roles.replica import Replica
from registry_mesh.roles.site import Site, SiteRegistry
from registry_mesh.telemetry.instruments import Instruments


async def open_role(
    config: Config,
    storage: Storage,
    stack: AsyncExitStack,
    instruments: Instruments,
    policy: Policy,
    seen: Seen | None = None,
) -> tuple[Role, Parents | None]:
    """Ready to answer, with its parents where it has any; `stack` ends what it began."""
    if config.role == "origin":
        return _origin(config, storage, policy), None
    parents = await stack.enter_async_context(Parents(config, instruments, seen))
    if config.role == "site":
        return open_site(config, storage, parents, stack), parents
    return _replica(config, storage, parents, stack), parents


def _origin(config: Config, storage: Storage, policy: Policy) -> Origin:
    name = RegistryName(config.registry) if config.registry else None

    def anybody_may_read(who: Pusher, repository: RepositoryName) -> bool:
        asked = Asked(Action.PULL, name or "", repository)
        return policy.decide(None, asked).verdict is Verdict.ALLOW

    repositories = open_repositories(config, storage, anybody_may_read)
    return Origin(name, repositories.repository, repositories.names)


def _replica(config: Config, storage: Storage, parents: Parents, stack: AsyncExitStack) -> Replica:
    """What it does not hold it refuses, or fetches as a site would, into the same store."""
    held = ReplicaRepositories(storage.records, storage.blobs, time.time)
    site = None
    if config.replication.fallthrough == "pull-through":
        site = open_site(config, storage, parents, stack)
    return Replica(
        held,
        [RegistryName(host) for host in config.registries],
        default=default_registry(config),
        beyond=MadeOf(storage.records, held, site.repository).repository if site else None,
        followed=FollowedTags(storage.records),
        aliases=aliases(config),
    )


def open_site(config: Config, storage: Storage, parents: Parents, stack: AsyncExitStack) -> Site:
    """A site over open storage; `stack` ends what it began."""
    cache = cache_of(storage)
    fills = Fills(cache, unkept=UnkeptBlobs(storage.quota))
    registries = {
        name: SiteRegistry(
            groups,
            freshness(config.registries[name]),
            Ranges(config.registries[name].ranges),
            Spread(config.registries[name].spread),
            Hedge(config.registries[name].hedge),
            parents.siblings(name),
        )
        for name, groups in parents.groups.items()
    }
    site = Site(
        cache,
        storage.records,
        fills,
        registries,
        default=default_registry(config),
        lied=parents.lied,
        paced=parents.paced,
        hedged=parents.hedged,
        left=parents.left,
        shared=storage.shared,
        aliases=aliases(config),
    )
    stack.push_async_callback(fills.close)
    stack.push_async_callback(site.close)
    return site


def default_registry(config: Config) -> RegistryName | None:
    """The registry that is meant where a request names none; None: the role's own choice."""
    return next((RegistryName(host) for host, known in config.registries.items() if known.default), None)


def aliases(config: Config) -> dict[RegistryName, RegistryName]:
    """Other names of registries, and whose they are."""
    return {
        RegistryName(alias): RegistryName(host)
        for host, known in config.registries.items()
        for alias in known.aliases
    }


def freshness(registry: Registry) -> Freshness:
    """How old an answer about a tag may be, and how old one that there is nothing."""
    tags = registry.tags
    return Freshness(
        ttl=tags.ttl,
        stale_while_revalidate=tags.stale_while_revalidate,
        stale_if_error=tags.stale_if_error,
        offline_grace=max(tags.stale_if_error, tags.offline_grace),
        negative_ttl=tags.negative_ttl,
        digest_negative_ttl=registry.negative_ttl,
    )
