"""Garbage collection beside running pushes and pulls, on any store, by any number of processes at once.

How it is safe is told in `digest_life`; what is loose, and in which order it goes, in `repositories.loose`. Nothing is
kept between runs but the digests' own logs, so a run that dies is simply followed by another one.

The races, one by one:

- *A manifest is pushed that names a loose blob.* The push touches the blob (unless it was linked a moment ago) and
  then looks whether it is there. Before the collection's CONDEMNED: that append fails, the blob is spared. After:
  the push waits, finds the blob gone, and is refused with `ManifestBlobUnknown`; nothing refers to it.
- *A blob is uploaded again while it is condemned.* The upload's commit waits before it looks into the store, so it
  never takes bytes for present that are about to go.
- *A manifest is pushed while repositories are read.* Whatever it names was touched later than the collection began
  less the grace; `next_step` condemns only what was loose for a whole grace before it began.
- *A tag moves away while a client pulls.* What the tag pointed at is in its history; beyond that it is loose first
  and goes a grace later.
- *Two collections at once.* Only one of them appends CONDEMNED; the other one waits or spares.
- *A collection dies, or sleeps, after CONDEMNED.* It deletes nothing later than `Grace.deadline` after; pushes go on
  after `Grace.stall`, and look whether the thing is still there.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RepositoryName
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.ports.blobs import BlobStore
from registry_mesh.ports.storage import RemoveMany
from registry_mesh.repositories import keys as repository_keys
from registry_mesh.repositories.collection_report import CollectionReport, RepositoryReport
from registry_mesh.repositories.digest_life import Life, Lifecycle, LifeState
from registry_mesh.repositories.facts import Inventory, inventory
from registry_mesh.repositories.keys import RepositoryKeys, digest_of
from registry_mesh.repositories.loose import (
    Looseness,
    Names,
    Order,
    Step,
    by_history_alone,
    next_step,
    referenced,
)
from registry_mesh.repositories.of_origin import Repositories
from registry_mesh.repositories.tag_upkeep import forget_deleted_tags
from registry_mesh.tasks.together import ask_each

_BATCH: Final = 64

Progress = Callable[[str], None]
"""Told, now and then, what is being done."""

ExtraRoots = Callable[[RepositoryName], Awaitable[frozenset[Digest]]]
"""What else of a repository is to be kept with all it names: the tags of retained revisions."""


async def no_roots(name: RepositoryName) -> frozenset[Digest]:
    """No digests: nothing else is kept."""
    return frozenset()


@dataclass
class _Loose:
    """A loose digest: its size in bytes, where its documents are, the state it is judged by, whether it may go."""

    size: int = 0
    repositories: list[RepositoryName] = field(default_factory=list)
    names: list[Names] = field(default_factory=list)
    life: Life | None = None
    due: bool = False


class Collection:
    """One run."""

    def __init__(
        self,
        origin: Repositories,
        *,
        dry_run: bool = False,
        extra_roots: ExtraRoots = no_roots,
        remove_blobs: RemoveMany | None = None,
        progress: Progress = lambda _: None,
    ) -> None:
        self._origin = origin
        self._remove_blobs = remove_blobs or one_by_one(origin.blobs)
        self._lifecycle = origin.lifecycle
        self._extra_roots = extra_roots
        self._progress = progress
        self._referenced: set[Digest] = set()
        self._loose: dict[Digest, _Loose] = {}
        self.report = CollectionReport(dry_run=dry_run)

    async def run(self) -> CollectionReport:
        """Walk, judge, remove; gives the report. Raises what the store raises."""
        self._started = self._lifecycle.clock()
        if not self.report.dry_run:
            self.report.uploads_expired = await self._origin.uploads.sweep()
        async for name in self._origin.names():
            await self._read(name)
        await self._read_store()
        if not self.report.dry_run:
            await self._note_references()
        await self._observe()
        await self._sweep()
        return self.report

    async def _read(self, name: RepositoryName) -> None:
        """Mark one repository. What another one refers to is taken out of the loose at the end."""
        self._progress(f"reading {name}")
        parts = self._origin.parts(name)
        if not self.report.dry_run:
            self.report.tags_forgotten += await forget_deleted_tags(
                parts, self._started, self._origin.policy.grace
            )
        policy = self._origin.policy
        roots = await self._extra_roots(name)
        found = await inventory(parts, self._started, policy.grace, roots, policy.keep_untagged)
        marked = referenced(found.facts)
        self._referenced |= marked
        self._note_loose(found, marked)
        self.report.repositories[name] = _describe(found, marked)

    def _note_loose(self, found: Inventory, marked: set[Digest]) -> None:
        facts = found.facts
        for digest in {*facts.manifests, *facts.blobs, *facts.expired} - marked:
            loose = self._loose.setdefault(digest, _Loose())
            loose.size = max(loose.size, found.sizes.get(digest, 0))
            loose.repositories.append(found.name)
            if digest in facts.manifests:
                loose.names.append(facts.manifests[digest])

    async def _read_store(self) -> None:
        """What no document speaks of: a push died before it linked it, or it was unlinked."""
        self._progress("reading the store")
        async for info in self._origin.blobs.blobs():
            if info.digest not in self._referenced:
                self._loose.setdefault(info.digest, _Loose()).size = info.size
        async for key in self._origin.records.walk(repository_keys.DIGESTS):  # of pushes that came to nothing
            digest = digest_of(key.rpartition("/")[0])
            if digest is not None and digest not in self._referenced:
                self._loose.setdefault(digest, _Loose())
        for digest in self._referenced:
            self.report.elsewhere += self._loose.pop(digest, None) is not None

    async def _note_references(self) -> None:
        """What was loose and is not any more begins a new grace when it is loose again."""
        records = self._origin.records
        async for key in records.walk(repository_keys.LOOSE):
            digest = digest_of(key)
            if digest is not None and digest not in self._loose:
                life = await self._lifecycle.read(digest)
                if life is not None and life.state is LifeState.UNREFERENCED:
                    await self._lifecycle.advance(digest, life, LifeState.LIVE)
                await records.delete([key])

    async def _observe(self) -> None:
        """Note of every loose digest since when it is; find those that may go."""
        digests = list(self._loose)
        for at in range(0, len(digests), _BATCH):
            await ask_each(self._observe_one, digests[at : at + _BATCH])

    async def _observe_one(self, digest: Digest) -> None:
        loose = self._loose[digest]
        loose.life = await self._lifecycle.read(digest)
        step = self._step(loose.life)
        loose.due = step is Step.CONDEMN
        if loose.due:
            return
        self.report.waiting += 1
        self.report.waiting_bytes += loose.size
        self.report.fresh += step is Step.OBSERVE
        if step is Step.OBSERVE and not self.report.dry_run:
            await self._origin.records.put(repository_keys.loose(digest), b"")
            await self._lifecycle.advance(digest, loose.life, LifeState.UNREFERENCED)

    async def _sweep(self) -> None:
        """From the top down, those whose time has come."""
        order = Order(self._loose, (names for each in self._loose.values() for names in each.names))
        ready = order.first()
        while ready:
            batch, ready = ready[:_BATCH], ready[_BATCH:]
            due = [digest for digest in batch if self._loose[digest].due]
            for digest in due if self.report.dry_run else await self.remove(due):
                ready += order.gone(digest)
            self.report.removable += len(due)
            self.report.removable_bytes += sum(self._loose[digest].size for digest in due)

    def _step(self, life: Life | None) -> Step:
        grace = self._lifecycle.grace
        record = Looseness(
            life.at if life and life.state is LifeState.UNREFERENCED else None,
            life.at if life and life.state is LifeState.CONDEMNED else None,
        )
        return next_step(record, self._started, self._lifecycle.clock(), grace.period, grace.stall)

    async def remove(self, due: list[Digest]) -> list[Digest]:
        """Condemn all, then delete: documents, bytes, logs. What there is no time for is let go again."""
        deadline = _Deadline(self._lifecycle)
        won = [
            digest
            for digest in due
            if await self._lifecycle.advance(digest, self._loose[digest].life, LifeState.CONDEMNED)
        ]
        self.report.spared += len(due) - len(won)
        self._progress(f"removing {len(won)} of {len(self._loose)}")
        documents = [key for keys in await ask_each(self._documents, won) for key in keys]
        if deadline.over:
            return await self._let_go(won)
        await self._origin.records.delete(documents)
        if deadline.over:
            return await self._let_go(won)
        await self._remove_blobs(won)
        await self._origin.records.delete([repository_keys.loose(digest) for digest in won])
        await ask_each(self._lifecycle.forget, won)
        self.report.removed += len(won)
        self.report.removed_bytes += sum(self._loose[digest].size for digest in won)
        return won

    async def _let_go(self, condemned: list[Digest]) -> list[Digest]:
        """There is no time left: the next run takes them up. None is gone."""

        async def let_go(digest: Digest) -> None:
            life = await self._lifecycle.read(digest)
            if life is not None and life.state is LifeState.CONDEMNED:
                await self._lifecycle.advance(digest, life, LifeState.UNREFERENCED)

        await ask_each(let_go, condemned)
        return []

    async def _documents(self, digest: Digest) -> list[str]:
        """The manifest's own first: from then on nobody sees it. What it names goes in a later step."""
        loose = self._loose[digest]
        found = []
        for name in loose.repositories:
            keys = RepositoryKeys(name)
            tagged = keys.tagged(digest)
            found += [keys.manifest(digest), keys.deleted_manifest(digest), keys.blob(digest)]
            found += [tagged + tag for tag in await self._origin.records.children(tagged)]
            subjects = {names.subject for names in loose.names if names.subject is not None}
            found += [keys.referrer(subject, digest) for subject in subjects]
        found += [key async for key in self._origin.records.walk(repository_keys.linked(digest))]
        return found


def one_by_one(blobs: BlobStore) -> RemoveMany:
    """For stores that delete no batches."""

    async def remove(digest: Digest) -> None:
        with suppress(BlobUnknown):
            await blobs.delete(digest)

    async def remove_all(digests: Sequence[Digest]) -> None:
        await ask_each(remove, digests)

    return remove_all


class _Deadline:
    """Whether what was condemned when this was made may still be deleted, by either of two clocks."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle
        self._since = (time.monotonic(), lifecycle.clock())

    @property
    def over(self) -> bool:
        steady, wall = time.monotonic() - self._since[0], self._lifecycle.clock() - self._since[1]
        return max(steady, abs(wall)) > self._lifecycle.grace.deadline


def _describe(found: Inventory, marked: set[Digest]) -> RepositoryReport:
    loose = {*found.facts.manifests, *found.facts.blobs} - marked
    remembered = by_history_alone(found.facts, found.standing, marked)
    return RepositoryReport(
        bytes=sum(found.sizes.values()),
        loose=len(loose),
        loose_bytes=sum(found.sizes.get(digest, 0) for digest in loose),
        remembered=len(remembered),
        remembered_bytes=sum(found.sizes.get(digest, 0) for digest in remembered),
    )
