"""A run over a disk that is killed at a write point: the next one sends again what of each stream was received and not
stored, and at most a chunk."""

from __future__ import annotations

import asyncio
import mmap
from pathlib import Path

from registry_mesh.assembly.sources.storage import open_storage
from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.snapshot.copying.copy_by_fill import RUN_POLICY, CopyByFill
from registry_mesh.content.snapshot.copying.progress import Meter
from registry_mesh.content.snapshot.finding.jobs import Widths
from registry_mesh.content.snapshot.records.outcome import Outcome
from registry_mesh.content.snapshot.settings import Ours, SnapshotPolicy
from registry_mesh.content.snapshot.snapshot import Snapshot
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import ManifestUnknown, NameUnknown
from registry_mesh.repositories.of_replica import ReplicaRepositories
from tests.content.snapshot.removing.test_removing_killed import NAME, config_of
from tests.content.snapshot.test_rule_keys import MONDAY, replica_of
from tests.simulators.death import run_and_die
from tests.simulators.images import HOST, SourceRegistry, random_bytes
from tests.simulators.source import SimulatedSource

RULES = replica_of('repos: a, tags: "*"').rules
STREAMS = 2
OF_A_STREAM = RUN_POLICY.queued + SimulatedSource().piece + CHUNK
"""Bytes: what is not stored yet, the piece that has to wait, and the chunk that is not whole."""
LAYER = 2 * OF_A_STREAM + 1_000
KILLED = 6
"""Write points at which it is killed, of all that there are."""


class Counted(SourceRegistry):
    """Its bytes are counted over all processes."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8)
        super().__init__()

    @property
    def sent(self) -> int:  # type: ignore[override]
        return int.from_bytes(self._memory[:8])

    @sent.setter
    def sent(self, value: int) -> None:
        self._memory[:8] = value.to_bytes(8)


async def run(directory: Path, source: SourceRegistry) -> Outcome:
    storage = await open_storage(config_of(directory))
    assert storage.cache is not None
    fills = Fills(storage.cache, RUN_POLICY)
    try:
        repositories = ReplicaRepositories(storage.records, storage.blobs, lambda: MONDAY)
        bring = CopyByFill(storage.cache, fills, lambda name, digest, why: None)
        ours = Ours(storage.blobs, bring, repositories, storage.records)
        policy = SnapshotPolicy(widths=Widths(STREAMS, 2))
        return await Snapshot(RULES, {HOST: source}, ours, lambda: MONDAY, Meter(), policy).run()
    finally:
        await fills.close()
        await storage.close()


async def tags(directory: Path) -> dict[Tag, bool]:
    """The tags that are there, and whether each stands for all of its image."""
    storage = await open_storage(config_of(directory))
    try:
        kept = ReplicaRepositories(storage.records, storage.blobs, lambda: 0.0).repository(HOST, NAME).kept
        try:
            found = (await kept.tags.tags(100)).tags
        except NameUnknown:
            return {}
        whole = {}
        for tag in found:
            try:
                digest = (await kept.tags.resolve(tag)).descriptor.digest
            except ManifestUnknown:
                continue
            image = (await kept.manifests.manifest(digest)).manifest
            whole[tag] = all(
                [(await kept.blobs.stat(blob.digest)).size == blob.size for blob in image.blobs()]
            )
        return whole
    finally:
        await storage.close()


def test_a_killed_run_sends_again_only_what_of_each_stream_was_not_stored(tmp_path: Path) -> None:
    source = Counted()
    for number in range(2):
        layers = [random_bytes(f"{number}", LAYER)]
        source["a"].image(str(number), f"t{number}", layers=layers)
    images = source["a"].manifests.values()
    needed = sum(blob.size for image in images for blob in image.blobs()) + sum(len(i.data) for i in images)

    def child(at: int) -> tuple[Path, list[str]]:
        directory = tmp_path / f"at{at}"
        source.sent = 0
        return directory, run_and_die(lambda: run(directory, source), at)

    _, names = child(0)
    assert needed * 0.9 < source.sent <= needed
    for at in range(1, len(names) + 1, max(1, len(names) // KILLED)):
        directory, reached = child(at)
        before = asyncio.run(tags(directory))
        assert all(before.values()), (at, reached[-1], before)
        outcome = asyncio.run(run(directory, source))
        assert outcome.troubles == (), (at, reached[-1])
        again = source.sent - needed
        assert again <= STREAMS * OF_A_STREAM, (at, reached[-1], again)
        assert asyncio.run(tags(directory)) == {Tag("t0"): True, Tag("t1"): True}
