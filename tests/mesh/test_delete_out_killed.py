"""A node that is killed while it deletes at a registry it pushes to: every tag there stands, or `rules undo` puts it
back."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from click.testing import CliRunner

from registry_mesh.assembly.sources.storage import open_storage
from registry_mesh.cli.main import main
from registry_mesh.config.load import parse
from registry_mesh.content.snapshot.copying.copy_blob import CopyByIngest
from registry_mesh.content.snapshot.copying.progress import Meter
from registry_mesh.content.snapshot.records.outcome import Outcome
from registry_mesh.content.snapshot.settings import Ours, SnapshotPolicy
from registry_mesh.content.snapshot.snapshot import Snapshot
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_MANIFEST
from registry_mesh.oci.reference import Tag
from registry_mesh.repositories.of_replica import ReplicaRepositories
from registry_mesh.stores import points
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.pushes.registries import PushedRegistries
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession
from registry_mesh.upstream.way import Way
from tests.clients import registries
from tests.content.snapshot.finding.test_verify import TEAM
from tests.content.snapshot.test_rule_keys import DAY, MONDAY, replica_of, troubles
from tests.simulators.cloud import CLOUD
from tests.simulators.death import run_and_die
from tests.simulators.gateway import Pass, gateway
from tests.simulators.images import HOST, SourceRegistry
from tests.simulators.upstream import PATIENT

RULES = replica_of(
    f"repos: a, tags: '*', delete: 7d, to: {{registry: {CLOUD}, name: 'x/{{repo}}'}}", more="guard: 100%\n"
).rules

EVERY = bool(os.environ.get("EVERY_KILL_POINT"))
"""Every point, and not some."""


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registries.docker_registry(tmp_path_factory.mktemp("cloud") / "registry", deletes=True) as url:
        yield url


@dataclass
class Node:
    """A replica whose store is in `directory`, which pushes out to the registry at `there`."""

    directory: Path
    there: str
    source: SourceRegistry

    @property
    def document(self) -> dict[str, object]:
        return {
            "role": "replica",
            "name": "r",
            "store": {"disk": {"path": str(self.directory)}},
            "registries": {
                HOST: {"parents": [["http://127.0.0.1:1"]]},
                CLOUD: {"parents": [[self.there]], "push": True},
            },
            "rules": ".",
        }

    async def run(self, days: float) -> Outcome:

        async def ill(request: web.Request, body: bytes, ask: Pass) -> web.Response:
            if request.method != "DELETE":
                return await ask()
            points.reach("delete.asked")
            answer = await ask()
            points.reach("delete.answered")
            return answer

        storage = await open_storage(parse(json.dumps(self.document), "r.yaml").config)
        try:
            async with (
                open_session(Way(hosts=frozenset({"127.0.0.1"}))) as session,
                gateway(self.there) as gate,
            ):
                gate.ill = ill
                parent = UpstreamRegistry(ParentSession(session, gate.url, None, PATIENT), CLOUD)
                now = MONDAY + days * DAY
                ours = Ours(
                    storage.blobs,
                    CopyByIngest(storage.blobs),
                    ReplicaRepositories(storage.records, storage.blobs, lambda: now),
                    storage.records,
                    outward=PushedRegistries({CLOUD: parent}, storage.records),
                )
                snapshot = Snapshot(RULES, {HOST: self.source}, ours, lambda: now, Meter(), SnapshotPolicy())
                return await snapshot.run()
        finally:
            await storage.close()

    async def standing(self, digests: dict[Tag, Digest]) -> set[Tag]:
        """The tags of these that the registry has, at these digests."""
        found = set()
        async with aiohttp.ClientSession() as client:
            for tag, digest in digests.items():
                url = f"{self.there}/v2/x/a/manifests/{tag}"
                async with client.head(url, headers={"Accept": OCI_MANIFEST}) as answer:
                    if answer.status == 200:
                        assert answer.headers["Docker-Content-Digest"] == str(digest)
                        found.add(tag)
        return found

    def undo(self, tags: Iterable[Tag]) -> str:
        """What `rules undo` says of them."""
        path = self.directory / "r.yaml"
        path.write_text(json.dumps(self.document))
        refs = [f"{CLOUD}/x/a:{tag}" for tag in sorted(tags)]
        return CliRunner().invoke(main, ["rules", "undo", str(path), *refs]).output


def test_a_deletion_out_that_is_killed_leaves_each_tag_there_or_undoable(there: str, tmp_path: Path) -> None:
    source = SourceRegistry()
    content = source["a"]
    images = [content.image(str(number), f"t{number}") for number in range(3)]
    TEAM.tag(content, images[0])
    digests = dict(content.tags)
    ready = Node(tmp_path / "ready", there, source)
    assert troubles(asyncio.run(ready.run(0))) == []
    for tag in digests.keys() - {"t1", "t2"}:
        del content.tags[tag]
    asyncio.run(ready.run(1))

    def killed(at: int) -> tuple[list[str], int]:
        """At a point; those that it reached, and how many tags were not there."""
        node = Node(tmp_path / f"at{at}", there, source)
        shutil.copytree(ready.directory, node.directory)
        reached = run_and_die(lambda: node.run(9), at)
        missing = digests.keys() - asyncio.run(node.standing(digests))
        assert missing <= digests.keys() - {"t1", "t2"}
        said = node.undo(missing) if missing else ""
        assert asyncio.run(node.standing(digests)) == digests.keys(), (reached[-1:], missing, said)
        return reached, len(missing)

    names, gone = killed(0)
    assert gone == 2
    some = [at for at, name in enumerate(names, 1) if name in ("delete.answered", "record.delete")]
    assert {killed(at)[1] for at in (range(1, len(names) + 1) if EVERY else some)} == {0, 1, 2}
