"""Origin and replica over real sockets: what crosses the link, what survives a kill, what the replica then serves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from registry_mesh.assembly.node.build import Node, running
from registry_mesh.assembly.runs.replicator import open_replicator
from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.oci.manifest import Manifest
from tests.eventually import eventually
from tests.simulators.images import HOST, Content, random_bytes
from tests.simulators.replica_tree import ReplicaTree, replica_tree
from tests.simulators.unread import LEAVING, stand_still


@pytest.fixture
async def tree(tmp_path: Path) -> AsyncIterator[ReplicaTree]:
    async with replica_tree(tmp_path) as tree:
        tree.write_rules({"repos": ["team/**", "!team/private/**"], "tags": ["v*", "!*-dev"]})
        yield tree


async def pull(
    client: aiohttp.ClientSession, url: str, name: str, reference: str, manifest: Manifest
) -> None:
    """As a client does, every digest checked."""
    async with client.get(f"{url}/v2/{name}/manifests/{reference}") as answer:
        assert answer.status == 200, await answer.text()
        assert await answer.read() == manifest.data
        assert answer.headers["Content-Type"] == manifest.media_type
    for blob in manifest.blobs():
        async with client.get(f"{url}/v2/{name}/blobs/{blob.digest}") as answer:
            hasher = blob.digest.hasher()
            hasher.update(await answer.read())
            assert hasher.hexdigest() == blob.digest.hex


async def status(client: aiohttp.ClientSession, url: str, path: str) -> int:
    async with client.get(f"{url}/v2/{path}") as answer:
        return answer.status


async def wait_for_tag(client: aiohttp.ClientSession, url: str, path: str) -> None:
    async def served() -> bool:
        return await status(client, url, path) == 200

    await eventually(served, path, 120, pause=0.05)


async def test_every_byte_crosses_once_and_the_replica_serves_with_its_origin_dead(tree: ReplicaTree) -> None:
    content, private = Content(), Content()
    base = random_bytes("base", 3 * MIB + 5)
    one, two = content.image("one", "v1", layers=[base]), content.image("two", "v2", layers=[base])
    index = content.index({"linux/amd64": one, "linux/arm64": two}, "v3")
    signature = content.image("signature", subject=index)
    content.image("dev", "v4-dev")
    private.image("private", "v1")
    await tree.push("team/app", content)
    await tree.push("team/private/x", private)
    code, out, err = await tree.replicate()
    assert code == 0, err
    assert out.startswith("3 of 3 wanted tags held in 1 repositories; 3 switched; 3.01 MiB brought")
    blobs = [each for each in tree.link.counts.passed if "/blobs/" in each.target]
    wanted = {blob.digest: blob.size for image in (one, two, signature) for blob in image.blobs()}
    assert sum(each.body_bytes for each in blobs) == sum(wanted.values())

    async with running(tree.replica_config(interval="1h")) as replica:
        tree.link.conditions.refuse = True
        for tag, image in (("v1", one), ("v2", two)):
            await pull(tree.client, replica.url, "team/app", tag, image)
        await pull(tree.client, replica.url, "team/app", "v3", index)
        async with tree.client.get(f"{replica.url}/v2/team/app/tags/list") as answer:
            assert (await answer.json())["tags"] == ["v1", "v2", "v3"]
        async with tree.client.get(f"{replica.url}/v2/team/app/referrers/{index.digest}") as answer:
            assert [each["digest"] for each in (await answer.json())["manifests"]] == [str(signature.digest)]
        assert await status(tree.client, replica.url, "team/app/manifests/v4-dev") == 404
        assert await status(tree.client, replica.url, "team/private/x/manifests/v1") == 404
        async with tree.client.post(f"{replica.url}/v2/team/app/blobs/uploads/") as answer:
            assert answer.status == 405


async def test_a_run_with_nothing_new_asks_for_lists_and_heads_only(tree: ReplicaTree) -> None:
    content = Content()
    for n in range(3):
        content.image(str(n), f"v{n}")
    await tree.push("team/app", content)
    assert (await tree.replicate())[0] == 0
    tree.link.reset_counts()
    code, out, _ = await tree.replicate()
    assert code == 0
    assert "3 of 3 wanted tags held in 1 repositories; 0 switched; 0 B brought" in out
    asked = [(each.method, each.target.partition("?")[0]) for each in tree.link.counts.passed]
    listings = [path for method, path in asked if method == "GET" and path != "/v2/"]
    assert sorted(listings) == ["/v2/_catalog", "/v2/team/app/tags/list"]
    assert sum(method == "HEAD" for method, _ in asked) == 3


@pytest.mark.slow
async def test_killed_runs_send_a_chunk_a_stream_again_at_most(tree: ReplicaTree) -> None:
    """SIGKILL twice in the middle of two large blobs."""
    content = Content()
    image = content.image("big", "v1", layers=[random_bytes("x", 12 * MIB), random_bytes("y", 9 * MIB + 17)])
    await tree.push("team/app", content)
    tree.link.conditions.rate = 16e6
    for part in (0.3, 0.6):
        tree.link.conditions.stall_after = None
        process = await tree.start("--once", "--quiet")
        await eventually(
            lambda part=part, process=process: (
                tree.link.counts.body_bytes >= part * 21 * MIB or process.returncode is not None
            ),
            "a part of it to cross the link",
        )
        await stand_still(tree.link)
        process.kill()
        await process.communicate()
    tree.link.conditions.rate = tree.link.conditions.stall_after = None
    code, out, err = await tree.replicate()
    assert code == 0, err
    moved = sum(each.body_bytes for each in tree.link.counts.passed if "/blobs/" in each.target)
    whole = sum(blob.size for blob in image.blobs())
    assert whole <= tree.link.counts.body_bytes <= whole + 2 * (2 * MIB + LEAVING), (moved, out)
    async with running(tree.replica_config()) as replica:
        await pull(tree.client, replica.url, "team/app", "v1", image)


@pytest.mark.slow
async def test_a_kill_leaves_the_old_tag_whole(tree: ReplicaTree) -> None:
    old, new = Content(), Content()
    before = old.image("old", "v1")
    await tree.push("team/app", old)
    assert (await tree.replicate())[0] == 0
    after = new.image("new", "v1", layers=[random_bytes("z", 4 * MIB)])
    await tree.push("team/app", new)
    tree.link.conditions.rate = 8e6
    tree.link.reset_counts()
    process = await tree.start("--once", "--quiet")
    await eventually(lambda: tree.link.counts.body_bytes >= MIB, "a MiB to cross the link")
    process.kill()
    await process.communicate()
    tree.link.conditions.refuse = True
    async with running(tree.replica_config()) as replica:
        await pull(tree.client, replica.url, "team/app", "v1", before)
    tree.link.conditions.refuse = False
    tree.link.conditions.rate = None
    assert (await tree.replicate())[0] == 0
    async with running(tree.replica_config()) as replica:
        await pull(tree.client, replica.url, "team/app", "v1", after)


async def test_a_serving_replica_brings_by_itself_and_again(tree: ReplicaTree) -> None:
    content = Content()
    content.image("one", "v1")
    await tree.push("team/app", content)
    async with running(tree.replica_config(interval="1s")) as replica:
        await wait_for_tag(tree.client, replica.url, "team/app/manifests/v1")
        content.image("two", "v2")
        await tree.push("team/app", content)
        await wait_for_tag(tree.client, replica.url, "team/app/manifests/v2")
        async with tree.client.get(f"{replica.admin_url}/status") as answer:
            assert (await answer.json())["replication"]["last"]["complete"]


async def test_a_tag_that_moved_is_served_as_soon_as_the_run_ends(tree: ReplicaTree) -> None:
    old, new = Content(), Content()
    before, after = old.image("old", "v1"), new.image("new", "v1")
    await tree.push("team/app", old)
    assert (await tree.replicate())[0] == 0
    async with running(tree.replica_config()) as replica:
        for _ in range(3):
            await pull(tree.client, replica.url, "team/app", "v1", before)
        await tree.push("team/app", new)
        assert (await tree.replicate())[0] == 0
        await pull(tree.client, replica.url, "team/app", "v1", after)
        await pull(tree.client, replica.url, "team/app", str(before.digest), before)


async def test_a_command_beside_a_serving_replica_does_no_harm(tree: ReplicaTree) -> None:
    content = Content()
    images = [content.image(str(n), f"v{n}", layers=[random_bytes(str(n), MIB)]) for n in range(4)]
    await tree.push("team/app", content)
    tree.link.conditions.rate = 20e6
    async with running(tree.replica_config(interval="1s")) as replica:
        runs = await asyncio.gather(tree.replicate(), tree.replicate())
        assert [code for code, _, _ in runs] == [0, 0], runs
        for n, image in enumerate(images):
            await pull(tree.client, replica.url, "team/app", f"v{n}", image)
    blobs = sum(each.body_bytes for each in tree.link.counts.passed if "/blobs/" in each.target)
    assert blobs == sum(blob.size for image in images for blob in image.blobs())


async def test_a_broken_link_is_gone_on_with(tree: ReplicaTree) -> None:
    content = Content()
    image = content.image("big", "v1", layers=[random_bytes("x", 5 * MIB)])
    await tree.push("team/app", content)
    tree.link.conditions.cut_every = 2 * MIB
    tree.link.conditions.rate = 16e6  # else what a reset takes along is whatever sockets hold
    code, _, err = await tree.replicate()
    assert code == 0, err
    assert tree.link.counts.body_bytes < sum(blob.size for blob in image.blobs()) + 4 * MIB


async def test_flipped_bytes_are_refused_and_said(tree: ReplicaTree) -> None:
    content = Content()
    image = content.image("big", "v1", layers=[random_bytes("x", 2 * MIB)])
    await tree.push("team/app", content)
    tree.link.conditions.flip_at = 1_500_000
    code, _, err = await tree.replicate()
    assert code == 1
    assert f"blob {image.layers[0].digest}" in err
    tree.link.conditions.flip_at = None
    assert (await tree.replicate())[0] == 0


@pytest.mark.parametrize("held", [True, False])
async def test_what_no_rule_selects_may_be_pulled_through(tree: ReplicaTree, held: bool) -> None:
    content = Content()
    content.image("one", "v1")
    other = content.image("other", "nightly")
    await tree.push("team/app", content)
    if held:
        assert (await tree.replicate())[0] == 0
    async with running(tree.replica_config(fallthrough="pull-through")) as replica:
        await pull(tree.client, replica.url, "team/app", "nightly", other)
        await _pulled_again_offline(tree, replica, other)


@pytest.mark.parametrize(("to", "name"), [(None, "team/app"), ("base/{base}", "base/app")])
async def test_blobs_that_are_left_for_later_come_when_they_are_read(
    to: str | None, name: str, tree: ReplicaTree
) -> None:
    content = Content()
    image = content.image("one", "v1", layers=[random_bytes("one", 300_000)])
    secret = content.image("another", "v2")
    await tree.push("team/app", content)
    rule = {"name": "app", "from": HOST, "repos": "team/app", "tags": "v1", "data": "on-demand"}
    rule |= {"to": to} if to else {}
    text = json.dumps({"schema": "registry-mesh/rules/2", "rules": [rule]})
    (tree.directory / "rules" / "rules.yaml").write_text(text)
    config = tree.replica_config(fallthrough="pull-through")
    async with open_replicator(config) as replicator:
        outcome = await replicator.run()
    assert (outcome.complete, outcome.size) == (True, 0)
    assert tree.link.counts.body_bytes < 100_000
    async with running(config) as replica:
        await pull(tree.client, replica.url, name, "v1", image)
        if to is not None:  # what the source has besides is none of the name that was made of it
            beside = f"{replica.url}/v2/{name}/blobs/{secret.layers[0].digest}"
            async with tree.client.get(beside) as answer:
                assert answer.status == 404
        await _pulled_again_offline(tree, replica, image, name)


async def _pulled_again_offline(
    tree: ReplicaTree, replica: Node, image: Manifest, name: str = "team/app"
) -> None:
    tree.link.conditions.refuse = True
    await pull(tree.client, replica.url, name, str(image.digest), image)
