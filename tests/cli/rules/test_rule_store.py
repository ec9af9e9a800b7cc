"""`registry-mesh rules approve` and `undo` beside a real origin and a real replica's store."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
from click.testing import CliRunner

from registry_mesh.assembly.runs.replicator import open_replicator
from registry_mesh.cli.main import main
from registry_mesh.content.snapshot.records.outcome import Outcome
from registry_mesh.oci.reference import Tag
from tests.content.snapshot.finding.test_verify import TEAM
from tests.simulators.images import HOST, Content
from tests.simulators.replica_tree import ReplicaTree, replica_tree


async def rules(*arguments: str) -> tuple[int, str]:
    result = await asyncio.to_thread(CliRunner().invoke, main, ["rules", *arguments])
    return result.exit_code, result.output


async def replicate(tree: ReplicaTree) -> Outcome:
    async with open_replicator(tree.replica_config()) as replicator:
        return await replicator.run(by_hand=True)


def write(tree: ReplicaTree, **keys: str) -> None:
    rule = {"from": HOST, "repos": "app", "tags": "*", "delete": "0s"} | keys
    document = {"schema": "registry-mesh/rules/2", "rules": [rule]}
    (tree.directory / "rules").mkdir(exist_ok=True)
    (tree.directory / "rules" / "rules.yaml").write_text(json.dumps(document))


async def test_a_value_is_let_through_before_its_time_with_name_and_reason(tmp_path: Path) -> None:
    async with replica_tree(tmp_path) as tree:
        content = Content()
        content.image("one", "v1")
        await tree.push("app", content)
        write(tree, age="3d")
        path, ref, why = str(tree.replica_path), f"{HOST}/app:v1", ("--reason", "CVE-2026-1")
        assert (await rules("release", path, ref, *why))[0] == 1
        assert (await replicate(tree)).held == 0
        code, told = await rules("release", path, ref, *why)
        assert (code, told) == (0, f"{ref} at {content.tags[Tag('v1')]} is taken by the next run\n")
        outcome = await replicate(tree)
        assert (outcome.complete, outcome.held) == (True, 1)
        assert any(note.endswith(": CVE-2026-1") for note in outcome.notes)


async def test_the_guard_waits_for_a_person_and_undo_brings_all_back(tmp_path: Path) -> None:
    async with replica_tree(tmp_path) as tree:
        content = Content()
        content.image("one", *(f"t{number}" for number in range(10)))
        await tree.push("app", content)
        write(tree)
        assert (await replicate(tree)).held == 10
        undone = await rules("undo", str(tree.replica_path))
        assert undone == (1, "no run has deleted a tag, or all are back already\n")
        async with aiohttp.ClientSession() as client:
            for number in range(7):
                url = f"{tree.origin.url}/v2/app/manifests/t{number}"
                async with client.delete(url) as answer:
                    assert answer.status == 202
        (trouble,) = (await replicate(tree)).troubles
        said = f"stopped: 7 of 10 tags of {HOST} (70 %) would go, the guard is 10 %; nothing was deleted"
        assert trouble.why.startswith(said)
        digest = trouble.why.partition("`rules approve ")[2].partition("`")[0]
        path = str(tree.replica_path)
        assert (await rules("approve", "sha256:abc", path))[0] == 2
        other = f"sha256:{64 * 'a'}"
        code, told = await rules("approve", other, path)
        assert (code, f"warning: no plan of that digest waits for approval: {digest} does" in told) == (
            0,
            True,
        )
        code, told = await rules("approve", digest, path)
        assert (code, "warning" in told) == (0, False)
        outcome = await replicate(tree)
        assert (outcome.complete, outcome.deleted) == (True, 7)
        code, told = await rules("approve", digest, path)
        assert (code, "warning: no plan of that digest waits for approval\n" in told) == (0, True), (
            "it is done"
        )
        one = f"{HOST}/app:t3"
        code, told = await rules("undo", path, one)
        assert (code, told.startswith(f"{one} points at sha256:")) == (0, True)
        code, told = await rules("undo", path)
        assert (code, told.count("again")) == (1, 6)
        assert f"{one} is not among what runs deleted, or is back already" in told
        assert (await rules("undo", path, f"{HOST}/app:none"))[0] == 1
        outcome = await replicate(tree)
        assert (outcome.complete, outcome.deleted) == (True, 0)


async def test_the_signature_that_went_with_a_tag_comes_back_with_it_and_counts_for_no_guard(
    tmp_path: Path,
) -> None:
    async with replica_tree(tmp_path) as tree:
        content = Content()
        images = [content.image(f"{number}", f"t{number}") for number in range(5)]
        signatures = [TEAM.tag(content, image) for image in images]
        await tree.push("app", content)
        write(tree)
        await replicate(tree)
        going = [*content.tags]
        async with aiohttp.ClientSession() as client:
            for tag in going:
                async with client.delete(f"{tree.origin.url}/v2/app/manifests/{tag}") as answer:
                    assert answer.status == 202
            await tree.push("app", one_more())
        outcome = await replicate(tree)
        assert (outcome.stopped, outcome.deleted) == ((), 5)
        code, told = await rules("undo", str(tree.replica_path), f"{HOST}/app:t3")
        assert (code, [line.split()[-2] for line in told.splitlines()]) == (
            0,
            [str(signatures[3].digest), str(images[3].digest)],
        )
        code, told = await rules("undo", str(tree.replica_path))
        assert told.count("again") == 8


def one_more() -> Content:
    content = Content()
    content.image("kept", "kept")
    return content
