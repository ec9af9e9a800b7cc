"""`delete` beside `to` with a registry: what went out is deleted there, as far as that registry can."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from registry_mesh.assembly.runs.replicator import open_replicator
from registry_mesh.cli.main import main
from registry_mesh.content.snapshot.finding.jobs import Widths
from registry_mesh.content.snapshot.removing.removed import APPROVED
from registry_mesh.oci.reference import Tag
from registry_mesh.tasks.threads import in_thread
from tests.clients import registries
from tests.content.snapshot.finding.test_verify import TEAM
from tests.content.snapshot.removing.test_removing import ALL, at
from tests.content.snapshot.test_rule_keys import replica_of, troubles
from tests.simulators.cloud import CLOUD, Cloud, cloud_of
from tests.simulators.images import HOST, Content
from tests.simulators.origin_node import running_origin
from tests.simulators.replica import Replica
from tests.simulators.replica_tree import replica_tree


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Docker's registry: it deletes manifests, and no tag alone."""
    with registries.docker_registry(tmp_path_factory.mktemp("cloud") / "registry", deletes=True) as url:
        yield url


@pytest.fixture(scope="module")
def keeps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One that deletes nothing."""
    with registries.docker_registry(tmp_path_factory.mktemp("keeps") / "registry") as url:
        yield url


@pytest.fixture
async def cloud(there: str) -> AsyncIterator[Cloud]:
    async with cloud_of(there) as made:
        yield made


def pushing(cloud: Cloud, count: int, more: str = ALL) -> Replica:
    replica = replica_of(f"repos: a, tags: '*', delete: 7d, {cloud.to()}", more=more)
    for number in range(count):
        replica.source["a"].image(f"a{cloud.folder}{number}", f"t{number}")
    return replica


async def test_what_is_gone_at_its_source_goes_there_too_with_its_companions(cloud: Cloud) -> None:
    replica = pushing(cloud, 3)
    content = replica.source["a"]
    TEAM.tag(content, content.manifests[content.tags[Tag("t0")]])
    signature = next(tag for tag in content.tags if tag.endswith(".sig"))
    async with cloud.pushing(replica) as node:
        assert troubles(await node.run()) == []
        assert await cloud.digest("a", signature) is not None
        del content.tags[Tag("t0")], content.tags[signature]
        assert ((await at(node, 1)).deleted, (await at(node, 7.9)).deleted) == (0, 0)
        outcome = await at(node, 8)
        assert (troubles(outcome), outcome.deleted) == ([], 1)
        assert (await at(node, 9)).deleted == 0
    found = [await cloud.digest("a", tag) is not None for tag in ("t0", signature, "t1", "t2")]
    assert found == [False, False, True, True]


async def test_a_manifest_that_another_tag_there_needs_stays_and_is_named(cloud: Cloud) -> None:
    replica = replica_of(f"repos: a, tags: '*', delete: 7d, {cloud.to()}", more=ALL)
    replica.widths = Widths(
        1, 1
    )  # that registry loses sight of a manifest while it is put once more, under a tag
    content = replica.source["a"]
    child = content.image(f"child{cloud.folder}", "single", "same")
    content.index({"linux/amd64": child}, "whole")
    async with cloud.pushing(replica) as node:
        assert troubles(await node.run()) == []
        del content.tags[Tag("same")]
        await at(node, 1)
        outcome = await at(node, 8)
        (told,) = troubles(outcome)
        assert "deletes no tag alone (answered 400), and single needs the manifest" in told
        del content.tags[Tag("single")]
        await at(node, 9)
        assert all("whole needs the manifest" in each for each in troubles(await at(node, 16)))
        assert await cloud.digest("a", "same") == await cloud.digest("a", "single") == str(child.digest)
        del content.tags[Tag("whole")]
        content.image(f"other{cloud.folder}", "other")
        await at(node, 17)
        outcome = await at(node, 24)
        assert (troubles(outcome), outcome.deleted) == ([], 3)
    assert [await cloud.digest("a", tag) for tag in ("same", "single", "whole")] == [None, None, None]


async def test_a_registry_that_deletes_nothing_is_named_and_its_guard_counts_nothing(keeps: str) -> None:
    async with cloud_of(keeps) as cloud:
        replica = pushing(cloud, 2)
        async with cloud.pushing(replica) as node:
            await node.run()
            del node.source["a"].tags[Tag("t0")]
            await at(node, 1)
            for day in range(8, 16):
                outcome = await at(node, day)
                (told,) = troubles(outcome)
                assert "answered 405 to a deletion: it does not delete" in told
                assert (outcome.deleted, outcome.stopped) == (0, ())
        assert await cloud.digest("a", "t0") is not None


async def test_what_somebody_else_put_there_since_is_left_alone(cloud: Cloud) -> None:
    replica, theirs = pushing(cloud, 2), replica_of(f"repos: a, tags: t0, {cloud.to()}")
    async with cloud.pushing(replica) as node:
        await node.run()
    other = theirs.source["a"].image(f"theirs{cloud.folder}", "t0")
    async with cloud.client.put(
        f"{cloud.there}/v2/{cloud.folder}/a/manifests/t0",
        data=await _put(cloud, theirs),
        headers={"Content-Type": other.media_type},
    ) as answer:
        assert answer.status == 201
    async with cloud.pushing(replica) as node:
        del node.source["a"].tags[Tag("t0")]
        await at(node, 1)
        assert (await at(node, 8)).deleted == 0
    assert await cloud.digest("a", "t0") == str(other.digest)


async def _put(cloud: Cloud, replica: Replica) -> bytes:
    """The blobs of an image; gives its manifest."""
    content = replica.source["a"]
    image = content.manifests[content.tags[Tag("t0")]]
    for blob in image.blobs():
        await registries.push(cloud.client, cloud.there, content.blobs[blob.digest], f"{cloud.folder}/a")
    return image.data


async def test_beyond_the_guard_nothing_goes_there_before_a_person_approves(cloud: Cloud) -> None:
    replica = pushing(cloud, 12, more="")
    async with cloud.pushing(replica) as node:
        await node.run()
        for number in range(6):
            del node.source["a"].tags[Tag(f"t{number}")]
        await at(node, 1)
        outcome = await at(node, 8)
        (stopped,) = outcome.stopped
        assert (outcome.deleted, stopped.registry, stopped.deletes, stopped.tags) == (0, CLOUD, 6, 12)
        await node.blobs.records.put(APPROVED, json.dumps({"digest": stopped.plan}).encode())
        assert (await at(node, 9)).deleted == 6


async def test_one_that_deletes_tags_does_and_undo_puts_them_back(tmp_path: Path) -> None:
    """Between two nodes of ours: an origin deletes a tag by its name."""
    async with replica_tree(tmp_path) as tree:
        content = Content()
        kept, gone = content.image("kept", "kept"), content.image("gone", "gone")
        await tree.push("app", content)
        (tmp_path / "rules").mkdir(exist_ok=True)
        rule = f"{{from: {HOST}, repos: app, tags: '*', delete: 0s, to: {{registry: cloud.test, name: 'x/{{repo}}'}}}}"
        text = f"schema: registry-mesh/rules/2\nrules: [{rule}]\n"
        (tmp_path / "rules" / "r.yaml").write_text(text)
        async with running_origin("cloud", tmp_path, "cloud.test") as cloud:
            pushed = {"cloud.test": {"parents": [[cloud.url]], "push": True}}
            config = tree.replica_config(more_registries=pushed)

            async def run() -> int:
                async with open_replicator(config) as replicator:
                    outcome = await replicator.run()
                assert troubles(outcome) == []
                return outcome.deleted

            async def status(tag: str) -> int:
                async with tree.client.head(f"{cloud.url}/v2/x/app/manifests/{tag}") as answer:
                    return answer.status

            assert await run() == 0
            async with tree.client.delete(f"{tree.origin.url}/v2/app/manifests/gone") as answer:
                assert answer.status == 202
            assert await run() + await run() == 1
            assert (await status("gone"), await status("kept")) == (404, 200)
            said = await in_thread(CliRunner().invoke, main, ["rules", "undo", str(tree.replica_path)])
            assert said.output == f"cloud.test/x/app:gone points at {gone.digest} again\n"
            assert (said.exit_code, await status("gone"), await status("kept")) == (0, 200, 200)
    assert kept.digest != gone.digest
