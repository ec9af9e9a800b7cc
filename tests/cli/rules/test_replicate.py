"""`registry-mesh replicate`: exit codes, and what it says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from registry_mesh.cli.main import main
from registry_mesh.cli.replication_view import clock, outcome_lines, progress_line, size
from registry_mesh.content.snapshot.copying.progress import Meter, Phase
from registry_mesh.content.snapshot.records.outcome import Outcome, Trouble
from registry_mesh.oci.reference import Tag
from tests.clients import programs
from tests.eventually import eventually
from tests.simulators.images import HOST, Content, random_bytes
from tests.simulators.replica_tree import ReplicaTree, replica_tree
from tests.simulators.signatures import Authority, Cosign, Notation


@pytest.fixture
async def tree(tmp_path: Path) -> AsyncIterator[ReplicaTree]:
    async with replica_tree(tmp_path) as tree:
        yield tree


async def test_a_missing_blob_is_named_with_all_it_takes_along_and_the_rest_comes(tree: ReplicaTree) -> None:
    content = Content()
    bad, good = content.image("bad", "bad"), content.image("good", "good")
    await tree.push("app", content)
    for path in (tree.directory / "origin" / "blobs").rglob(bad.layers[0].digest.hex + "*"):
        path.unlink()
    tree.write_rules({"repos": ["app", "gone"]})
    code, out, err = await tree.replicate()
    assert (code, out) == (1, "")
    lines = err.splitlines()
    assert lines[0].startswith("1 of 2 wanted tags held in 1 repositories; 1 switched;")
    assert any(
        line.startswith(f"  {HOST}/gone ") and "does not exist at its source" in line for line in lines
    )
    assert "4 failed:" in lines
    assert any(line.startswith(f"  blob {bad.layers[0].digest} ") for line in lines)
    assert any(line.startswith(f"  {HOST}/app:bad ") and "needs blob" in line for line in lines)
    assert str(good.digest) not in err


async def test_a_replica_at_its_quota_brings_whole_images_in_the_order_of_its_rules(
    tree: ReplicaTree,
) -> None:
    for name, sizes in (("small", [800_000] * 8), ("mid", [2_500_000] * 2), ("big", [40_000_000])):
        content = Content()
        for n, length in enumerate(sizes):
            content.image(f"{name}{n}", str(n), layers=[random_bytes(f"{name}{n}", length)])
        await tree.push(name, content)
    tree.write_rules({"repos": ["big"]}, {"repos": ["small"], "tags": ["1", "3"]}, {"repos": ["mid"]})
    tree.replica_config(quota="3MiB")
    for run in range(2):
        code, _, err = await tree.replicate()
        assert code == 1
        lines = err.splitlines()
        assert lines[0].startswith(f"2 of 5 wanted tags held in 3 repositories; {0 if run else 2} switched")
        assert lines[1] == "1 failed:"
        assert lines[2].startswith("  the store  no room for 3 of 5 wanted tags, 4")
        assert "MiB are missing: give a larger quota or disk, or want less" in lines[2]
        assert f"({HOST}/big:0, {HOST}/mid:0, {HOST}/mid:1)" in lines[2]
        assert len(lines) == 3
    tree.replica_config(quota="80MiB")
    code, out, _ = await tree.replicate()
    assert code == 0
    assert out.startswith("5 of 5 wanted tags held")


async def test_what_came_in_part_of_a_blob_that_does_not_fit_is_given_back(tree: ReplicaTree) -> None:
    large = Content()
    large.image("large", "1", layers=[random_bytes("large", 40_000_000)])
    await tree.push("large", large)
    small = Content()
    small.image("small", "1", layers=[random_bytes("small", 6_000_000)])
    await tree.push("small", small)
    tree.write_rules({"repos": ["large"]}, {"repos": ["small"]})
    tree.replica_config(quota="60MiB")
    tree.link.conditions.rate = 20e6
    process = await tree.start("--once", "--quiet")
    await eventually(lambda: tree.link.counts.body_bytes >= 8_000_000, "8 MB to cross the link", seconds=60)
    process.kill()
    await process.wait()
    tree.link.conditions.rate = None
    parts = tree.directory / "replica" / "partial"
    assert any(path.is_file() for path in parts.rglob("*"))
    tree.replica_config(quota="9MiB")
    code, _, err = await tree.replicate()
    assert code == 1
    assert err.startswith("1 of 2 wanted tags held")
    assert not any(path.is_file() for path in parts.rglob("*"))


async def test_what_nobody_signed_who_is_believed_is_named_and_does_not_come(tree: ReplicaTree) -> None:
    team, foreign, notary = Cosign(), Cosign(), Notation(Authority())
    content = Content()
    for tag, sign in (("1", team.tag), ("2", team.refer), ("3", notary.refer), ("4", foreign.tag)):
        sign(content, content.image(tag, tag))
    await tree.push("app", content)
    (tree.directory / "team.pub").write_bytes(team.pem)
    (tree.directory / "ca.pem").write_bytes(notary.authority.pem)
    cosign, authority = str(tree.directory / "team.pub"), str(tree.directory / "ca.pem")
    tree.replica_config(keys={"team": {"cosign": cosign}, "notary": {"notation": authority}})
    rule = {"name": "app", "from": HOST, "repos": "app", "tags": "*", "verify": ["team", "notary"]}
    document = {"schema": "registry-mesh/rules/2", "rules": [rule]}
    (tree.directory / "rules").mkdir()
    (tree.directory / "rules" / "app.yaml").write_text(json.dumps(document))
    code, _, err = await tree.replicate()
    assert code == 1 and "1 failed:" in err
    (told,) = (line for line in err.splitlines() if "is not signed by" in line)
    assert f"app:4 ({content.tags[Tag('4')]}) is not signed by team or notary (" in told
    assert "another key" in told and "is not signed by" not in err.replace(told, "")


async def test_a_replica_tells_what_its_tags_pointed_at_and_since_when(tree: ReplicaTree) -> None:
    first, second = Content(), Content()
    images = [first.image("one", "t"), second.image("two", "t")]
    tree.write_rules({"repos": ["app"]})
    for content in (first, second):
        await tree.push("app", content)
        assert (await tree.replicate())[0] == 0

    def told(*words: str) -> list[str]:
        done = programs.run("tags", "history", tree.replica_path, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    for words in (("app:t",), (f"{HOST}/app:t",), (f"{HOST}/app",), ()):
        lines = await asyncio.to_thread(told, *words)
        assert [str(image.digest) in line for image, line in zip(images, lines, strict=True)] == [True, True]
        assert all(f"replication from {HOST}" in line for line in lines)


async def test_faults_of_rules_are_told_with_their_places_and_nothing_runs(tree: ReplicaTree) -> None:
    tree.write_rules({"repos": ["App"]}, {"repos": ["x"], "from": "other.example"})
    code, _, err = await tree.replicate()
    assert code == 2
    assert "rules.yaml:1:" in err
    assert "'A' stands in none of the names this can match" in err
    assert "other.example is no configured registry" in err
    asked = [each for each in tree.link.counts.passed if each.target != "/v2/"]  # the node probes its parents
    assert asked == []


async def test_an_origin_that_cannot_be_reached_fails_the_run(tree: ReplicaTree) -> None:
    tree.write_rules({"repos": ["app"]}, {"repos": ["other/*"]})
    tree.link.conditions.refuse = True
    code, _, err = await tree.replicate()
    assert code == 1
    assert f"  {HOST}/app " in err
    assert "its repositories cannot be listed" in err


def test_a_node_without_rules_has_none_to_run(tmp_path: Path) -> None:
    path = tmp_path / "origin.yaml"
    path.write_text("role: origin\nstore: {disk: {path: x}}\n")
    result = CliRunner().invoke(main, ["replicate", str(path), "--once"])
    assert result.exit_code == 2
    assert "it has no rules to run" in result.output
    assert CliRunner().invoke(main, ["replicate", str(tmp_path / "none.yaml")]).exit_code == 2


def test_progress_in_words() -> None:
    meter = Meter()
    meter.repositories, meter.tags = 3, 20
    assert progress_line(meter.look(0.0)) == "looking: 20 tags in 3 repositories"
    meter.phase = Phase.COPYING
    meter.size, meter.tags_done = 10 << 30, 4
    meter.look(1.0)
    meter.size_done = 1 << 30
    assert progress_line(meter.look(6.0)) == "copying: 1 GiB of 10 GiB, 205 MiB/s, 0:45 left; 4 of 20 tags"
    meter.failed = 2
    assert progress_line(meter.look(6.0)).endswith("; 2 failed")


def test_the_result_in_words() -> None:
    outcome = Outcome(
        2, 5, 4, 3, 5 << 20, (Trouble("blob sha256:00", "gone"), Trouble("h/a:1", "needs blob")), ("odd",)
    )
    assert list(outcome_lines(outcome, 2.04)) == [
        "4 of 5 wanted tags held in 2 repositories; 3 switched; 5 MiB brought in 2.0 s",
        "note: odd",
        "2 failed:",
        "  blob sha256:00  gone",
        "  h/a:1           needs blob",
    ]


def test_figures_for_people() -> None:
    assert [size(n) for n in (0, 1023, 1024, 1 << 40, 1 << 44)] == [
        "0 B",
        "1023 B",
        "1 KiB",
        "1 TiB",
        "16 TiB",
    ]
    assert [clock(n) for n in (0, 59.6, 287, 3_887)] == ["0:00", "1:00", "4:47", "1:04:47"]
