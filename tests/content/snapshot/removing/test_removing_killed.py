"""A replica that is killed while it deletes: every tag is there, or can be brought back."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

from registry_mesh.assembly.sources.storage import open_storage
from registry_mesh.config.load import parse
from registry_mesh.config.schema import Config
from registry_mesh.content.snapshot.copying.copy_blob import CopyByIngest
from registry_mesh.content.snapshot.copying.progress import Meter
from registry_mesh.content.snapshot.records.outcome import Outcome
from registry_mesh.content.snapshot.settings import Ours, SnapshotPolicy
from registry_mesh.content.snapshot.snapshot import Snapshot
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RepositoryName, Tag
from registry_mesh.oci.refusals import ManifestUnknown
from registry_mesh.ports.pushes import Pusher
from registry_mesh.repositories.of_replica import ReplicaRepositories
from tests.content.snapshot.test_rule_keys import DAY, MONDAY, replica_of
from tests.simulators.death import run_and_die
from tests.simulators.images import HOST, SourceRegistry

RULES = replica_of('repos: a, tags: "*", delete: 7d', more="guard: 100%\n").rules
NAME = RepositoryName("a")


def config_of(directory: Path) -> Config:
    document = {
        "role": "replica",
        "name": "r",
        "store": {"disk": {"path": str(directory)}},
        "registries": {HOST: {"parents": [["http://127.0.0.1:1"]]}},
        "rules": ".",
    }
    return parse(json.dumps(document), "r.yaml").config


async def run(directory: Path, source: SourceRegistry, now: float) -> Outcome:
    storage = await open_storage(config_of(directory))
    try:
        repositories = ReplicaRepositories(storage.records, storage.blobs, lambda: now)
        ours = Ours(storage.blobs, CopyByIngest(storage.blobs), repositories, storage.records)
        snapshot = Snapshot(RULES, {HOST: source}, ours, lambda: now, Meter(), SnapshotPolicy())
        return await snapshot.run()
    finally:
        await storage.close()


async def standing(directory: Path, digests: dict[Tag, Digest]) -> dict[Tag, str]:
    """Of each tag, whether it is there, brought back, or lost."""
    storage = await open_storage(config_of(directory))
    found = {}
    try:
        kept = ReplicaRepositories(storage.records, storage.blobs, lambda: 0.0).repository(HOST, NAME)
        for tag, digest in digests.items():
            try:
                told = (await kept.kept.tags.resolve(tag)).descriptor.digest
                found[tag] = "there" if told == digest else "wrong"
            except ManifestUnknown:
                back = await kept.restore(tag, Pusher("test"))
                found[tag] = "back" if back == digest else "lost"
            assert (await kept.kept.manifests.manifest(digest)).manifest.digest == digest
    finally:
        await storage.close()
    return found


def test_a_deletion_that_is_killed_leaves_each_tag_there_or_undoable(tmp_path: Path) -> None:
    source = SourceRegistry()
    for number in range(3):
        source["a"].image(str(number), f"t{number}")
    digests = dict(source["a"].tags)
    ready = tmp_path / "ready"
    assert asyncio.run(run(ready, source, MONDAY)).complete
    for tag in ("t0", "t1"):
        del source["a"].tags[Tag(tag)]
    asyncio.run(run(ready, source, MONDAY + DAY))

    def child(at: int) -> tuple[Path, list[str]]:
        directory = tmp_path / f"at{at}"
        shutil.copytree(ready, directory)
        return directory, run_and_die(lambda: run(directory, source, MONDAY + 9 * DAY), at)

    whole, names = child(0)
    assert sorted(asyncio.run(standing(whole, digests)).values()) == ["back", "back", "there"]
    seen = set()
    for at in range(1, len(names) + 1):
        directory, _ = child(at)
        found = asyncio.run(standing(directory, digests))
        assert set(found.values()) <= {"there", "back"}, (at, names[at - 1], found)
        assert found[Tag("t2")] == "there"
        seen.add(sum(each == "back" for each in found.values()))
    assert seen == {0, 1, 2}
