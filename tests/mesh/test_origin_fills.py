"""An origin that fills itself from another registry by rules, beside what is pushed to it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from registry_mesh.assembly.labels import board, layout
from registry_mesh.assembly.node.build import running
from registry_mesh.assembly.runs.node_runs import NodeRuns
from registry_mesh.assembly.runs.replicator import open_replicator
from registry_mesh.assembly.runs.retention import retain
from registry_mesh.assembly.sources.parents import Seen
from registry_mesh.assembly.sources.storage import open_storage
from registry_mesh.cli.main import main
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.load import parse
from registry_mesh.config.rule_files import parse_rules
from registry_mesh.config.schema import Config
from registry_mesh.content.snapshot.records.outcome import Outcome
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import OCI_INDEX, OCI_MANIFEST
from registry_mesh.oci.reference import Tag
from registry_mesh.tasks.threads import in_thread
from registry_mesh.telemetry.instruments import Table
from tests.content.snapshot.finding.test_verify import TEAM
from tests.simulators.images import HOST, Content, random_bytes
from tests.simulators.replica_tree import ReplicaTree, replica_tree
from tests.simulators.ruled_node import ruled_node


@dataclass
class Filled:
    """The outside registry, and an origin that takes from it."""

    outside: ReplicaTree
    folder: Path

    def config(self, *rules: str, **more: object) -> Config:
        own = {"name": "own", "registry": "own.example", "access": {"anonymous": "admin"}}
        return ruled_node(self.outside, self.folder, "origin", rules, **own | more)

    async def run(self, config: Config) -> Outcome:
        async with open_replicator(config) as replicator:
            return await replicator.run()

    async def digest(self, url: str, name: str, reference: str) -> str | None:
        headers = {"Accept": f"{OCI_INDEX}, {OCI_MANIFEST}"}
        async with self.outside.client.get(f"{url}/v2/{name}/manifests/{reference}", headers=headers) as got:
            return str(Digest.of(await got.read())) if got.status == 200 else None

    async def push(self, url: str, name: str, content: Content, image: Manifest, tag: str) -> None:
        for blob in image.blobs():
            at = f"{url}/v2/{name}/blobs/uploads/?digest={blob.digest}"
            async with self.outside.client.post(at, data=content.blobs[blob.digest]) as answer:
                assert answer.status == 201
        at = f"{url}/v2/{name}/manifests/{tag}"
        headers = {"Content-Type": image.media_type}
        async with self.outside.client.put(at, data=image.data, headers=headers) as answer:
            assert answer.status == 201


@pytest.fixture
async def filled(tmp_path: Path) -> AsyncIterator[Filled]:
    async with replica_tree(tmp_path) as outside:
        yield Filled(outside, tmp_path)


async def test_what_rules_take_is_the_origin_s_own_and_never_over_what_was_pushed(filled: Filled) -> None:
    content = Content()
    kids = {p: content.image(p) for p in ("linux/amd64", "linux/arm64")}
    index = content.index(kids, "9")
    TEAM.tag(content, index)
    content.image("outside", "8")
    await filled.outside.push("library/alma", content)
    config = filled.config('repos: "library/*", tags: "9", platforms: [linux/amd64], to: "base/{base}"')
    assert (await filled.run(config)).troubles == ()
    async with running(config) as own:
        assert await filled.digest(own.url, "base/alma", "9") == str(index.digest)
        for platform, child in kids.items():
            here = await filled.digest(own.url, "base/alma", str(child.digest))
            assert here == (str(child.digest) if platform == "linux/amd64" else None)
        assert await filled.digest(own.url, "base/alma", f"sha256-{index.digest.hex}.sig")
        pushed = Content()
        mine = pushed.image("mine", "8")
        await filled.push(own.url, "library/alma", pushed, mine, "8")
        config = filled.config('repos: "library/*", tags: ["8", "9"]')
        (told,) = (await filled.run(config)).troubles
        assert "library/alma:8 was pushed by" in told.why
        assert told.why.endswith("not overwritten")
        assert await filled.digest(own.url, "library/alma", "8") == str(mine.digest)
        assert await filled.digest(own.url, "library/alma", "9") == str(index.digest)


async def test_a_plan_says_what_a_run_does_and_nothing_after_it(filled: Filled) -> None:
    content = Content()
    image = content.image("one", "v1")
    await filled.outside.push("library/alma", content)
    config = filled.config('repos: "library/*", tags: "*", to: "base/{base}"')

    async def planned() -> dict[str, Any]:
        said = ["replicate", str(filled.folder / "origin.yaml"), "--plan", "--format", "json"]
        result = await in_thread(CliRunner().invoke, main, said)
        assert result.exit_code == 0, result.output
        return dict(json.loads(result.output))

    plan = await planned()
    assert [(step["do"], step["to"]) for step in plan["steps"]] == [("copy", "own.example/base/alma:v1")]
    outcome = await filled.run(config)
    assert outcome.size == plan["totals"]["bytes"] == sum(blob.size for blob in image.blobs())
    assert (await planned())["steps"] == []
    moved = Content()
    moved.image("two", "v1")
    await filled.outside.push("library/alma", moved)
    assert [step["do"] for step in (await planned())["steps"]] == ["move"]


async def test_a_tag_follows_its_source_but_for_immutable_ones(filled: Filled) -> None:
    content = Content()
    content.image("one", "v1", "latest")
    await filled.outside.push("app", content)
    more = {"pushes": {"immutable": ["app:v*"]}}
    config = filled.config('repos: app, tags: "*"', **more)
    assert (await filled.run(config)).troubles == ()
    moved = Content()
    two = moved.image("two", "v1", "latest")
    await filled.outside.push("app", moved)
    (told,) = (await filled.run(config)).troubles
    assert "app:v1 is immutable: it stays at" in told.why
    async with running(config) as own:
        assert await filled.digest(own.url, "app", "latest") == str(two.digest)
        assert await filled.digest(own.url, "app", "v1") != str(two.digest)
        assert await filled.digest(own.url, f"{HOST}/app", "latest") is None


async def test_what_its_source_lost_goes_where_rules_say_so_and_nothing_that_was_pushed(
    filled: Filled,
) -> None:
    content, mine = Content(), Content()
    for tag in ("gone", "taken", "held", "older"):
        content.image(tag, tag)
    pushed = mine.image("mine", "taken")
    await filled.outside.push("app", content)
    rules = (
        'repos: app, tags: ["*", "!held"], delete: 0s',
        "repos: app, tags: held, hold: forever, delete: 0s",
    )
    config = filled.config(*rules)
    assert (await filled.run(config)).troubles == ()
    async with running(filled.config(*rules)) as own:
        url = f"{own.url}/v2/app/manifests/taken"
        async with filled.outside.client.delete(url) as answer:
            assert answer.status == 202
        await filled.push(own.url, "app", mine, pushed, "taken")
        for tag in ("gone", "taken", "held"):
            url = f"{filled.outside.origin.url}/v2/app/manifests/{tag}"
            async with filled.outside.client.delete(url) as answer:
                assert answer.status == 202
        said = ["replicate", str(filled.folder / "origin.yaml"), "--plan", "--format", "json"]
        plans = [json.loads((await in_thread(CliRunner().invoke, main, said)).output)]
        outcome = await filled.run(config)
        assert (outcome.troubles, outcome.deleted) == ((), 1)
        plans.append(json.loads((await in_thread(CliRunner().invoke, main, said)).output))
        steps = [[(each["do"], each["to"]) for each in plan["steps"]] for plan in plans]
        assert steps == [[("delete", "own.example/app:gone")], []], (
            "what is remembered takes nothing from what is held"
        )
        found = {tag: await filled.digest(own.url, "app", tag) for tag in content.tags}
    assert [tag for tag, digest in found.items() if digest is None] == ["gone"]
    assert found["taken"] == str(pushed.digest)
    retention = 'repos: app, tags: "*", keep: {newest: 1, by: seen}, delete: 0s'
    text = f"schema: registry-mesh/rules/2\nguard: 100%\nrules: [{{from: own.example, {retention}}}]\n"
    storage = await open_storage(config)
    try:
        retained = await retain(config, storage, parse_rules([("r.yaml", text.encode())]))
    finally:
        await storage.close()
    assert [str(each) for each in retained.going] == ["own.example/app:older"]


async def test_what_does_not_fit_a_quota_is_named_and_not_tagged(filled: Filled) -> None:
    content = Content()
    content.image("large", "1", layers=[random_bytes("large", 50_000)])
    content.image("small", "2")
    await filled.outside.push("app", content)
    config = filled.config('repos: app, tags: "*"', pushes={"quotas": {"app": "20KiB"}})
    troubles = (await filled.run(config)).troubles
    assert troubles
    assert any("project app uses" in each.why for each in troubles), troubles
    async with running(config) as own:
        assert await filled.digest(own.url, "app", "1") is None
        assert await filled.digest(own.url, "app", "2") == str(content.tags[Tag("2")])


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"registry": None}, "what rules bring needs a registry to be in"),
        ({"rules": None}, "an origin fetches nothing but what rules take"),
        ({"registries": {HOST: {}}}, "no parent to fetch from"),
        ({"registries": {"own.example": {"parents": [["https://h"]]}}}, "this is the origin's own registry"),
    ],
)
async def test_a_configuration_that_cannot_fill_is_refused(more: dict[str, object], told: str) -> None:
    document = {
        "role": "origin",
        "store": {"disk": {"path": "/x"}},
        "registry": "own.example",
        "registries": {HOST: {"parents": [["https://h"]]}},
        "rules": "/rules",
    } | more
    with pytest.raises(ConfigInvalid, match=told):
        parse(json.dumps({k: v for k, v in document.items() if v is not None}), "own.yaml")


@pytest.mark.parametrize("read_only", [False, True])
async def test_while_it_is_read_only_no_rules_run_by_themselves(filled: Filled, read_only: bool) -> None:
    """A command does what it says all the same."""
    config = filled.config("repos: [team/app], tags: ['*'], delete: 0s", pushes={"read_only": read_only})
    storage, instruments = await open_storage(config), Table(layout(config), 1).row(0)
    try:
        async with NodeRuns(config, storage, instruments, Seen(board(config), 0)) as runs:
            assert runs.replicator is not None
            assert (runs.replicator.repeat in runs.repeated()) is not read_only
    finally:
        await storage.close()
