"""`to` with a registry: what rules push out to Debian's docker-registry, and what is never touched there."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import web
from click.testing import CliRunner

from registry_mesh.assembly.runs.replicator import open_replicator
from registry_mesh.cli.main import main
from registry_mesh.content.snapshot.finding.jobs import Widths
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import Tag
from tests.content.snapshot.finding.test_verify import TEAM
from tests.content.snapshot.planning import planned, size
from tests.content.snapshot.test_rule_keys import replica_of, troubles
from tests.simulators.cloud import CHUNK, CLOUD, Cloud
from tests.simulators.gateway import Ill, Pass
from tests.simulators.guarded import basic
from tests.simulators.images import HOST, Content, random_bytes
from tests.simulators.replica_tree import replica_tree

ONE_BY_ONE = Widths(streams=1, records=1)


async def test_an_image_goes_out_with_all_it_stands_for_and_nothing_goes_twice(
    cloud: Cloud, tmp_path: Path
) -> None:
    replica = replica_of(f"repos: a, tags: v1, {cloud.to('team/{base}', '{tag}-cern')}")
    content = replica.source["a"]
    large = random_bytes("large", 3 * CHUNK + 17)
    child = content.image("one", layers=[large])
    index = content.index({"linux/amd64": child}, "v1")
    signature = TEAM.refer(content, index)
    plan = await planned(replica, tmp_path)
    async with cloud.pushing(replica) as node:
        outcome = await node.run()
    assert troubles(outcome) == []
    assert await cloud.digest("team/a", "v1-cern") == str(index.digest)
    assert await cloud.blob("team/a", Digest.of(large)) == large
    assert await cloud.digest("team/a", str(signature.digest)) == str(signature.digest)
    assert await cloud.digest("team/a", f"sha256-{index.digest.hex}") is not None
    assert await node.tags("a") == {}
    assert len(cloud.asked("PATCH")) == 4
    assert cloud.asked("PUT")[-1] == f"/v2/{cloud.folder}/team/a/manifests/v1-cern"
    assert [(step.do, step.to) for step in plan.steps] == [
        ("push", f"cloud.example/{cloud.folder}/team/a:v1-cern")
    ]
    cloud.gateway.seen.clear()
    async with cloud.pushing(replica) as node:
        assert (await node.run()).complete
    assert {each.partition(" ")[0] for each in cloud.gateway.seen if each != "GET /v2/"} <= {"HEAD"}


async def test_the_bytes_of_a_plan_are_those_that_move(cloud: Cloud, tmp_path: Path) -> None:
    replica = replica_of(f"repos: a, tags: v1, {cloud.to()}")
    image = replica.source["a"].image("bytes", "v1")
    plan = await planned(replica, tmp_path)
    async with cloud.pushing(replica) as node:
        outcome = await node.run()
    whole = sum(blob.size for blob in image.blobs())
    assert (outcome.size, size(plan)) == (2 * whole, 2 * whole)


async def test_what_is_kept_here_and_pushed_out_is_brought_once(cloud: Cloud) -> None:
    replica = replica_of("repos: a, tags: v1", f"repos: a, tags: v1, {cloud.to()}")
    image = replica.source["a"].image("both", "v1")
    async with cloud.pushing(replica) as node:
        outcome = await node.run()
    assert (troubles(outcome), await node.tags("a")) == ([], {"v1": image.digest})
    assert await cloud.digest("a", "v1") == str(image.digest)
    assert outcome.size == 2 * sum(blob.size for blob in image.blobs())


async def test_a_tag_of_another_hand_is_not_overwritten_and_its_own_hand_moves_it(cloud: Cloud) -> None:
    theirs, ours = (replica_of(f"repos: a, tags: v1, {cloud.to()}") for _ in range(2))
    first = theirs.source["a"].image("theirs", "v1")
    async with cloud.pushing(theirs) as node:
        await node.run()
    moved = ours.source["a"].image("ours", "v1")
    async with cloud.pushing(ours) as node:
        (told,) = troubles(await node.run())
    assert told == f"cloud.example/{cloud.folder}/a:v1 was put there by somebody else: not overwritten"
    assert await cloud.digest("a", "v1") == str(first.digest)
    theirs.source["a"].image("ours", "v1")
    async with cloud.pushing(theirs) as node:
        assert troubles(await node.run()) == []
    assert await cloud.digest("a", "v1") == str(moved.digest)


async def test_a_tag_that_was_put_before_a_crash_is_ours(cloud: Cloud) -> None:
    replica = replica_of(f"repos: a, tags: v1, {cloud.to()}")
    before, put = replica.source["a"].image("before", "v1"), asyncio.Event()

    async def ill(request: web.Request, body: bytes, ask: Pass) -> web.Response:
        answer = await ask()
        if request.path.endswith("manifests/v1") and body:
            put.set()
            await asyncio.Event().wait()
        return answer

    cloud.gateway.ill = ill
    async with cloud.pushing(replica) as node:
        run = asyncio.create_task(node.run())
        await asyncio.wait_for(put.wait(), 60)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
    assert await cloud.digest("a", "v1") == str(before.digest)
    cloud.gateway.ill = _well
    after = replica.source["a"].image("after", "v1")
    async with cloud.pushing(replica) as node:
        assert troubles(await node.run()) == []
    assert await cloud.digest("a", "v1") == str(after.digest)


async def test_a_signature_that_was_put_before_a_crash_is_listed_all_the_same(cloud: Cloud) -> None:
    """Docker's registry lists no referrers: the tag that does is written after the manifest."""
    replica = replica_of(f"repos: a, tags: v1, {cloud.to()}")
    image = replica.source["a"].image("signed", "v1")
    signature = TEAM.refer(replica.source["a"], image)

    async def ill(request: web.Request, body: bytes, ask: Pass) -> web.Response:
        answer = await ask()
        cut = body and request.path.endswith(str(signature.digest))
        return web.Response(status=502) if cut else answer

    cloud.gateway.ill = ill
    async with cloud.pushing(replica) as node:
        assert troubles(await node.run()) != []
    assert await cloud.digest("a", str(signature.digest)) == str(signature.digest)
    cloud.gateway.ill = _well
    async with cloud.pushing(replica) as node:
        assert troubles(await node.run()) == []
    assert await cloud.digest("a", f"sha256-{image.digest.hex}") is not None


async def test_nothing_that_went_out_is_deleted_there_where_no_rule_says_so(cloud: Cloud) -> None:
    replica = replica_of(f"repos: a, tags: '*', {cloud.to()}")
    content = replica.source["a"]
    content.image("one", "v1")
    content.image("two", "v2")
    async with cloud.pushing(replica) as node:
        await node.run()
        del content.tags[Tag("v1")]
        outcome = await node.run()
    assert (outcome.complete, outcome.deleted) == (True, 0)
    assert await cloud.digest("a", "v1") is not None
    assert not cloud.asked("DELETE")


async def _well(request: web.Request, body: bytes, ask: Pass) -> web.Response:
    return await ask()


def _without_mounts(cloud: Cloud) -> Ill:
    """Amazon's registry mounts nothing, and begins an upload instead."""

    async def ill(request: web.Request, body: bytes, ask: Pass) -> web.Response:
        if "mount" not in request.query:
            return await ask()
        headers = {"Host": request.host}
        async with cloud.client.post(cloud.there + request.path, headers=headers) as answer:
            return web.Response(status=answer.status, headers={"Location": answer.headers["Location"]})

    return ill


@pytest.mark.parametrize(("mounts", "chunks"), [(True, 2), (False, 4)])
async def test_a_blob_of_another_repository_there_is_mounted_where_that_is_done(
    mounts: bool, chunks: int, cloud: Cloud
) -> None:
    shared = random_bytes(f"shared {mounts}", 2 * CHUNK)
    replica = replica_of(f"repos: '*', tags: v1, {cloud.to()}")
    for name in ("a", "b"):
        replica.source[name].image(f"{name} {mounts}", "v1", layers=[shared])
    replica.widths = ONE_BY_ONE
    if not mounts:
        cloud.gateway.ill = _without_mounts(cloud)
    async with cloud.pushing(replica) as node:
        assert troubles(await node.run()) == []
    assert await cloud.blob("a", Digest.of(shared)) == await cloud.blob("b", Digest.of(shared)) == shared
    assert (len(cloud.asked("PATCH")), sum("mount=" in each for each in cloud.asked("POST"))) == (chunks, 1)


async def test_a_repository_that_has_to_be_made_beforehand_is_named(cloud: Cloud) -> None:
    async def ill(request: web.Request, body: bytes, ask: Pass) -> web.Response:
        if "/absent/" not in request.path:
            return await ask()
        error = {"errors": [{"code": "NAME_UNKNOWN", "message": "does not exist"}]}
        return web.Response(status=404, text=json.dumps(error))

    cloud.gateway.ill = ill
    replica = replica_of(
        f"repos: a, tags: v1, {cloud.to('absent/{base}')}", f"repos: b, tags: v1, {cloud.to()}"
    )
    replica.source["a"].image("one", "v1")
    image = replica.source["b"].image("two", "v1")
    async with cloud.pushing(replica) as node:
        told = troubles(await node.run())
    assert told
    assert all("is to be made there before it can be pushed to" in each for each in told)
    assert await cloud.digest("b", "v1") == str(image.digest)


async def test_an_index_with_absent_children_is_named_and_never_rewritten(cloud: Cloud) -> None:
    replica = replica_of(f"repos: a, tags: v1, platforms: [linux/amd64], {cloud.to()}")
    content = replica.source["a"]
    content.index({"linux/amd64": content.image("x"), "linux/arm64": content.image("y")}, "v1")
    async with cloud.pushing(replica) as node:
        told = troubles(await node.run())
    assert any("MANIFEST_BLOB_UNKNOWN" in each for each in told), told
    assert await cloud.digest("a", "v1") is None


async def test_a_replica_pushes_by_its_configuration_with_the_registry_s_login(
    cloud: Cloud, tmp_path: Path
) -> None:
    async def ill(request: web.Request, body: bytes, ask: Pass) -> web.Response:
        if request.headers.get("Authorization") == basic("robot", "secret"):
            return await ask()
        return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="cloud"'})

    cloud.gateway.ill = ill
    (tmp_path / "login").write_text("robot:secret")
    (tmp_path / "login").chmod(0o600)
    async with replica_tree(tmp_path) as tree:
        content = Content()
        image = content.image("one", "v1")
        await tree.push("app", content)
        tree.write_rules({"repos": ["app"]})
        rule = f"  - {{name: out, from: {HOST}, repos: app, tags: v1, {cloud.to()}}}"
        rules = tree.directory / "rules" / "out.yaml"
        rules.write_text(f"schema: registry-mesh/rules/2\nrules:\n{rule}\n")
        there = {"parents": [[cloud.gateway.url]], "push": True, "credentials": f"file:{tmp_path / 'login'}"}
        config = tree.replica_config(more_registries={CLOUD: there})
        async with open_replicator(config) as replicator:
            outcome = await replicator.run()
            assert (troubles(outcome), outcome.held) == ([], 2)
        assert await cloud.digest("app", "v1") == str(image.digest)
        plan = await asyncio.to_thread(
            CliRunner().invoke, main, ["replicate", "--plan", str(tree.replica_path), "--format", "json"]
        )
        assert json.loads(plan.stdout)["steps"] == []
        tree.replica_config(more_registries={CLOUD: there | {"push": False}})
        refused = await asyncio.to_thread(
            CliRunner().invoke, main, ["replicate", "--once", str(tree.replica_path)]
        )
        assert refused.exit_code == 2
        assert "this node does not push to cloud.example" in refused.output
