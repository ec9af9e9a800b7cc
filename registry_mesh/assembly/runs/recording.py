"""Listings of a replica's sources, and of what it holds, to be written down."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from typing import Any, Final

from registry_mesh.assembly.runs.remembering import Line, Remembering, held_since
from registry_mesh.assembly.sources.parents import Parents
from registry_mesh.assembly.sources.repositories import open_repositories
from registry_mesh.config.recorded_listing import DELETED, UNTAGGED
from registry_mesh.config.schema import Config
from registry_mesh.config.signers import read_signers
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.failover_registry import FailoverRegistry
from registry_mesh.content.snapshot.finding.asking import Asking
from registry_mesh.content.snapshot.finding.recording import Recorder
from registry_mesh.content.snapshot.finding.signatures import Signatures
from registry_mesh.content.snapshot.finding.stored import StoredManifests
from registry_mesh.content.snapshot.records.made_tags import MadeTags
from registry_mesh.content.snapshot.records.remembered_tags import RememberedTags
from registry_mesh.content.snapshot.removing.made_following import noted_at
from registry_mesh.content.snapshot.removing.outgoing import pushed
from registry_mesh.content.snapshot.removing.pinned import PinnedTarget, bare_pins, with_pins
from registry_mesh.content.snapshot.removing.removed import RemovedTags
from registry_mesh.content.snapshot.settings import SnapshotPolicy
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.oci.refusals import NameUnknown, Refusal
from registry_mesh.ports.blobs import BlobStore
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.place import Outward, Place
from registry_mesh.ports.records import KeyedRecords, Records
from registry_mesh.ports.repositories import EVERY, Repository
from registry_mesh.ports.storage import Storage
from registry_mesh.ports.unfollowed import Following, Why, following
from registry_mesh.replication.rules import Rule, Rules
from registry_mesh.replication.wanted import Listing, listings, selecting
from registry_mesh.repositories.of_origin import Repositories
from registry_mesh.repositories.of_replica import REPLICATION, ReplicaRepositories
from registry_mesh.tasks.threads import offload

_A_LINE: Final = 1_000
"""Digests of one line."""


async def seen(config: Config, rules: Rules) -> AsyncIterator[Line]:
    """What the sources of a replica show now of the repositories that rules take."""
    async with Parents(config) as parents:
        distrusted = Distrusted(count=parents.lied)
        signers = await offload(read_signers, config.keys)
        asking = Asking(SnapshotPolicy().asks, again=SnapshotPolicy().again)
        recorder = Recorder(time.time(), Signatures(asking, *signers))
        for listing in listings(rules):
            groups = parents.groups.get(listing.registry)
            if groups is None:
                continue
            source = FailoverRegistry(listing.registry, groups, distrusted)
            for name in sorted(await _names(source, listing)):
                by = rules.of(listing.registry, name)
                if by:
                    yield await _listed(recorder, source.repository(name), by)


async def _names(source: FailoverRegistry, listing: Listing) -> set[RepositoryName]:
    names = set(listing.names)
    if listing.patterns:
        names |= {name async for name in source.repositories()}
    return names


async def _listed(recorder: Recorder, repository: Repository, by: Iterable[Rule]) -> Line:
    by = tuple(by)
    repository = with_pins(repository, repository, bare_pins(by))
    line: Line = {"registry": repository.registry, "repository": repository.name, "listed_at": time.time()}
    try:
        tags = (await repository.tags.tags(EVERY)).tags
    except (Failure, Refusal) as fault:
        return {**line, "error": fault.reason, "tags": {}}
    return {**line, "tags": await recorder.record(repository, tags, selecting(by, tags))}


async def held(storage: Storage, registries: Iterable[str]) -> AsyncIterator[Line]:
    """What a replica holds, and remembers of it; and what it has put at other registries."""
    repositories = ReplicaRepositories(storage.records, storage.blobs, time.time)
    remembered = RememberedTags(storage.records)
    made = await _made(storage)
    remembering = Remembering(storage.records, time.time())
    recorder = Recorder(time.time(), Signatures(Asking(1)), storage.blobs)
    for registry in map(RegistryName, registries):
        async for name in repositories.repositories(registry):
            kept = PinnedTarget(repositories.repository(registry, name)).kept
            place = Place(registry, name)
            try:
                tags = (await kept.tags.tags(EVERY)).tags
            except NameUnknown:
                continue
            told = await following(storage.records, place)
            memory = await remembered.of(place)
            found = await recorder.record(kept, tags, dict.fromkeys(tags, ()))
            for tag in tags:
                found[tag] |= held_since(memory.get(tag), found[tag]) | _away(told, tag)
            await tell_made(storage.records, made, place, found)
            line: Line = {"registry": registry, "repository": name, "listed_at": time.time(), "tags": found}
            yield line | await remembering.of(place)
    async for line in _elsewhere(storage, made, recorder, remembering):
        yield line


async def held_by_origin(config: Config, storage: Storage, own: RegistryName) -> AsyncIterator[Line]:
    """What an origin holds that is its own, and what it has put at other registries."""
    repositories = open_repositories(config, storage)
    recorder = Recorder(time.time(), Signatures(Asking(1)), storage.blobs)
    made = await _made(storage)
    remembering = Remembering(storage.records, time.time())
    async for name in repositories.names():
        kept = repositories.repository(own, name)
        tags = (await kept.tags.tags(EVERY)).tags
        found = await recorder.record(kept, tags, dict.fromkeys(tags, ()))
        brought = {tag: found[tag] for tag in tags if await _is_brought(repositories, name, tag)}
        place = Place(own, name)
        await tell_made(storage.records, made, place, brought)
        line: Line = {"registry": own, "repository": name, "listed_at": time.time(), "tags": found}
        yield line | await remembering.of(place)
    async for line in _elsewhere(storage, made, recorder, remembering):
        yield line


async def _elsewhere(
    storage: Storage, made: MadeTags, recorder: Recorder, remembering: Remembering
) -> AsyncIterator[Line]:
    """What is known besides what is held: tags at other registries, sources of which nothing is held, what no tag
    needs."""
    async for line in pushed_lines(storage.records, made, recorder):
        yield line
    async for line in remembering.rest():
        yield line
    async for line in beside_lines(storage.records, storage.blobs, recorder.told, time.time()):
        yield line


async def _is_brought(repositories: Repositories, name: RepositoryName, tag: Tag) -> bool:
    """Whether rules brought what a tag of an origin points at: runs leave what was pushed since."""
    standing = await repositories.parts(name).tags.current(tag)
    return standing is not None and standing.by.startswith(f"{REPLICATION} from ")


async def _made(storage: Storage) -> MadeTags:
    made = MadeTags(storage.records)
    await made.load()
    return made


async def tell_made(records: KeyedRecords, made: MadeTags, place: Place, found: Mapping[Any, Line]) -> None:
    """Say of tags that rules made under this name of which they did, and what is remembered of that."""
    several = made.all.get(place, {})
    told = await following(records, noted_at(place)) if several else Following({}, {})
    for tag, one in several.items():
        if tag in found:
            until = "forever" if one.held_until == math.inf else one.held_until
            found[tag].update({"made_of": [[str(each), name] for each, name in one.of], "here": one.here})
            found[tag].update({"held_until": until} if until is not None else {})
            found[tag].update({**_away(told, tag), "rules": list(one.rules)})


async def pushed_lines(records: Records, made: MadeTags, recorder: Recorder) -> AsyncIterator[Line]:
    """What was put at other registries, as far as what it stands for is in the recorder's store still."""
    for there, digests in (await pushed(records)).items():
        place = Outward(there.registry, there.repository)
        told_of: dict[Tag, Line] = {
            tag: {"digest": digest} | await _weighed(recorder, digest) for tag, digest in digests.items()
        }
        await tell_made(records, made, place, told_of)
        line: Line = {"registry": place.registry, "repository": place.repository}
        yield {**line, "listed_at": time.time(), "tags": told_of}


async def _weighed(recorder: Recorder, digest: str) -> Line:
    return await recorder.weigh(StoredManifests(recorder.store), digest) if recorder.store is not None else {}


async def beside_lines(
    records: Records, store: BlobStore, tagged: Collection[str], now: float
) -> AsyncIterator[Line]:
    """How many tags were deleted in the 24 hours before `now`, and the blobs that `store` has, but for the `tagged`
    ones: what a run finds there it does not bring."""
    removed = RemovedTags(records, now)
    await removed.read()
    if removed.lately:
        yield {DELETED: dict(removed.lately)}
    digests: list[str] = []
    async for info in store.blobs():
        if str(info.digest) not in tagged:
            digests.append(str(info.digest))
        if len(digests) == _A_LINE:
            yield {UNTAGGED: digests}
            digests = []
    if digests:
        yield {UNTAGGED: digests}


def _away(told: Following, tag: Tag) -> Line:
    line: Line = {"rules": list(told.wanted.get(tag, ()))}
    away = told.unfollowed.get(tag)
    if away is not None and away.why is not Why.UNTOLD:
        line["gone" if away.why is Why.GONE else "unselected"] = away.since
    return line
