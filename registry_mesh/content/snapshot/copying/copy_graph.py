"""Graphs from sources into a store: blobs, then child manifests, then the index, then referrers, then tags.

Every blob is brought once, whichever graphs and repositories name it; every manifest is put once a repository.
A tag is switched when a second look (`content.snapshot.copying.closure`) finds everything that it stands for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from registry_mesh.content.snapshot.copying.closure import first_gap
from registry_mesh.content.snapshot.copying.copy_blob import is_held
from registry_mesh.content.snapshot.copying.copy_bytes import CopyBytes
from registry_mesh.content.snapshot.copying.copy_keys import (
    BlobKey,
    Bring,
    ManifestKey,
    PushKey,
    TagCopy,
    TagKey,
    blob_of,
)
from registry_mesh.content.snapshot.copying.fitting import fit
from registry_mesh.content.snapshot.copying.images_planned import plan_images
from registry_mesh.content.snapshot.copying.progress import Meter
from registry_mesh.content.snapshot.copying.wanted_blobs import FoundBlob, WantedBlob
from registry_mesh.content.snapshot.finding.asking import Asking
from registry_mesh.content.snapshot.finding.graph import Node
from registry_mesh.content.snapshot.finding.jobs import Job, Jobs, Lane, Undone, Widths
from registry_mesh.content.snapshot.finding.lookups import held_data
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reading import read_manifest
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import ManifestUnknown, NameUnknown
from registry_mesh.ports.blobs import BlobStore
from registry_mesh.ports.failures import Failure, StoreBroken
from registry_mesh.ports.outward import PushedRepository
from registry_mesh.ports.place import Place
from registry_mesh.ports.repositories import KeptRepository, Repository
from registry_mesh.replication.pattern import pinned_digest
from registry_mesh.tasks.together import AT_ONCE, bounded


class GraphCopy:
    """Gathers what is to be copied (`add`), leaves out what is held (`prune`), then copies (`run`)."""

    def __init__(
        self,
        store: BlobStore,
        bring: Bring,
        meter: Meter,
        asking: Asking,
        widths: Widths | None = None,
        again: Sequence[float] = (),
    ) -> None:
        self._store = store
        self._asking = asking
        self._bytes = CopyBytes(store, bring, meter, asking, again)
        self._meter = meter
        self._widths = widths
        self._blobs: dict[BlobKey, WantedBlob] = {}
        self._nodes: dict[ManifestKey, Node] = {}
        self._jobs: dict[Hashable, Job] = {}
        self._tags: dict[TagKey, TagCopy] = {}
        self._running: Jobs | None = None

    def add(
        self,
        source: Repository,
        target: KeptRepository,
        tags: Iterable[TagCopy],
        to: Place | None = None,
        outward: PushedRepository | None = None,
    ) -> None:
        """Tags of one repository, kept as `to`. Graphs may overlap, with each other and with those of any other.
        `outward`: where the blobs are pushed to; None where `target` is kept here."""
        place = Place(source.registry, source.name)
        here = to or place
        for tag in tags:
            for node in tag.graph.nodes.values():
                self._add_node(here, source, target, node, tag, outward)
            beside: set[Hashable] = {ManifestKey(here, digest) for digest in tag.graph.beside}
            needs = {ManifestKey(here, digest) for digest in tag.graph.nodes} - beside
            beside |= {TagKey(place, other, to) for other in tag.after}
            key = TagKey(place, tag.tag, to)
            switch = self._patient(
                here, key, partial(self._switch, place, target, tag, frozenset(beside)), outward
            )
            self._jobs[key] = Job(key, switch, needs=frozenset(needs), after=frozenset(beside))
            self._tags[key] = tag

    def _add_node(
        self,
        place: Place,
        source: Repository,
        target: KeptRepository,
        node: Node,
        tag: TagCopy,
        outward: PushedRepository | None,
    ) -> None:
        """The same manifest may come by several ways: wanted for other platforms, or under another subject."""
        key = ManifestKey(place, node.descriptor.digest)
        node = _merged(self._nodes.get(key), node)
        self._nodes[key] = node
        blobs = [BlobKey.of(blob) for blob in node.blobs]
        needs: set[Hashable] = {PushKey(place, blob) for blob in blobs} if outward is not None else {*blobs}
        needs |= {ManifestKey(place, digest) for digest in node.before}
        put = self._patient(place, key, partial(self._put, target, node), outward)
        self._jobs[key] = Job(key, put, needs=frozenset(needs))
        for blob in node.blobs:
            wanted = self._blobs.setdefault(BlobKey.of(blob), WantedBlob(blob, source.registry, [], tag.rank))
            wanted.is_kept |= outward is None
            if outward is not None:
                wanted.outward[place] = outward
            wanted.rank = min(wanted.rank, tag.rank)
            wanted.rules = wanted.rules or tag.rules
            if tag.flow not in wanted.flows:
                wanted.flows.append(tag.flow)
            if source.blobs not in wanted.sources:
                wanted.sources.append(source.blobs)

    def _patient(
        self,
        place: Place,
        key: Hashable,
        do: Callable[[], Awaitable[None]],
        outward: PushedRepository | None,
    ) -> Callable[[], Awaitable[None]]:
        """What goes out waits where that registry asks for patience, and is tried again where it failed now."""
        if outward is None:
            return do
        return partial(self._bytes.patiently, key, partial(self._asking.once, place.registry, do, key))

    async def prune(self) -> None:
        """Look up every blob in the store, and where it is pushed to: held ones need no job, the others are what is to
        be moved."""
        found: dict[BlobKey, FoundBlob | Failure] = {}

        async def look(key: BlobKey, wanted: WantedBlob) -> None:
            try:
                found[key] = await self._look_up(wanted)
            except Failure as failure:
                found[key] = failure

        await bounded(AT_ONCE, (partial(look, key, wanted) for key, wanted in self._blobs.items()))
        for key, wanted in self._blobs.items():
            self._plan(key, wanted, found[key])
        self._meter.objects = len(self._jobs)

    async def _look_up(self, wanted: WantedBlob) -> FoundBlob:
        lacking = await wanted.lacking(self._asking)
        held = (not wanted.is_kept and not lacking) or await is_held(self._store, wanted.blob)
        return FoundBlob(held, lacking)

    def _plan(self, key: BlobKey, wanted: WantedBlob, found: FoundBlob | Failure) -> None:
        for place in wanted.outward:
            self._jobs[PushKey(place, key)] = Job(PushKey(place, key), _nothing, needs=frozenset([key]))
        if isinstance(found, Failure):
            self._jobs[key] = Job(key, partial(_fail, found))
            return
        for place in found.lacking:
            do = partial(self._bytes.push, place, wanted)
            self._meter.expect(wanted.blob.size, wanted.rules)
            job = Job(
                PushKey(place, key),
                do,
                Lane.BYTES,
                needs=frozenset([key]),
                rank=wanted.rank,
                queue=wanted.queue,
            )
            self._jobs[job.key] = job
        if found.is_held:
            self._meter.size_held += wanted.blob.size
            self._meter.objects_done += 1
            self._jobs[key] = Job(key, _nothing)
            return
        self._meter.expect(wanted.blob.size, wanted.rules)
        bring = partial(self._bytes.bring, wanted)
        self._jobs[key] = Job(key, bring, Lane.BYTES, wanted.blob.size, rank=wanted.rank, queue=wanted.queue)

    def fit(self, room: int, order: Callable[[TagKey], tuple[int, str]]) -> tuple[tuple[TagKey, ...], int]:
        """Leave out the tags that do not fit into `room` bytes, the last in `order` first; gives them, and the bytes
        that they lack."""
        tags = sorted((key for key in self._jobs if isinstance(key, TagKey)), key=order)
        fitting = fit(self._jobs, tags, room)
        for key in self._jobs.keys() - fitting.jobs:
            self._leave_out(key)
        self._meter.objects = len(self._jobs)
        self._jobs = {k: replace(job, after=job.after & fitting.jobs) for k, job in self._jobs.items()}
        return tuple(key for key in fitting.left_out if isinstance(key, TagKey)), fitting.lacking

    def _leave_out(self, key: Hashable) -> None:
        job = self._jobs.pop(key)
        if job.lane is Lane.BYTES:
            wanted = self._blobs[blob_of(key)]
            self._meter.expect(-wanted.blob.size, wanted.rules)

    @property
    def coming(self) -> set[Digest]:
        """The blobs that are to be brought."""
        return {key.digest for key, job in self._jobs.items() if isinstance(key, BlobKey) and job.size}

    async def run(self) -> tuple[Undone, ...]:
        """What could not be done."""
        bytes_move = (key for key, job in self._jobs.items() if job.lane is Lane.BYTES)
        sizes = {key: self._blobs[blob_of(key)].blob.size for key in bytes_move}
        tags = {key: tag for key, tag in self._tags.items() if key in self._jobs}
        await plan_images(self._meter.images, tags, sizes)
        self._running = Jobs(self._jobs.values(), self._widths, self._asking.sleep)
        return await self._running.run()

    async def _put(self, target: KeptRepository, node: Node) -> None:
        wanted = node.descriptor
        for blob in node.blobs:
            await target.link(blob.digest)
        data = await held_data(self._store, wanted.digest)
        if data is None:
            raise StoreBroken(f"{wanted.digest} was stored and is gone")
        manifest = read_manifest(data, wanted.media_type, wanted.digest)
        await target.put_manifest(manifest, node.left_out)
        self._meter.objects_done += 1

    async def _switch(
        self, place: Place, target: KeptRepository, copy: TagCopy, beside: frozenset[Hashable]
    ) -> None:
        gap = await first_gap(target.kept, copy.graph.root.digest, copy.platforms, copy.data)
        if gap is not None:
            raise StoreBroken(f"not switched, for lack of {gap}")
        root = copy.graph.root
        if pinned_digest(copy.tag) is not None:
            moved = await target.hold(root.digest)
        elif moved := await _points_at(target, copy.tag) != root.digest:
            await target.tag(copy.tag, root, str(place.registry))
        self._meter.objects_done += 1
        self._meter.tags_done += 1
        undone = self._running.undone.keys() if self._running is not None else set()
        copy.switched(moved, copy.graph.is_whole and not beside & undone)


async def _points_at(target: KeptRepository, tag: Tag) -> Digest | None:
    try:
        return (await target.kept.tags.resolve(tag)).descriptor.digest
    except (ManifestUnknown, NameUnknown):
        return None


def _merged(one: Node | None, other: Node) -> Node:
    if one is None:
        return other
    return replace(
        other,
        blobs=tuple(dict.fromkeys(one.blobs + other.blobs)),
        children=tuple(dict.fromkeys(one.children + other.children)),
        subject=other.subject or one.subject,
        left_out=one.left_out & other.left_out,
    )


async def _nothing() -> None:
    """Held already."""


async def _fail(failure: Failure) -> None:
    raise failure
