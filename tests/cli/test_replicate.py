"""`registry-mesh replicate`: exit codes, and what it says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from registry_mesh.cli.main import main
from registry_mesh.cli.replication_view import clock, outcome_lines, progress_line, size
from registry_mesh.content.snapshot.progress import Meter, Phase
from registry_mesh.content.snapshot.snapshot import Outcome, Trouble
from tests.simulators.images import HOST, Content
from tests.simulators.replica_tree import ReplicaTree, replica_tree


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
    code, _, err = await tree.replicate("--quiet")
    assert code == 1
    assert f"  {HOST}/app " in err
    assert "its repositories cannot be listed" in err


def test_only_a_replica_has_rules(tmp_path: Path) -> None:
    path = tmp_path / "origin.yaml"
    path.write_text("role: origin\nstore: {disk: {path: x}}\n")
    result = CliRunner().invoke(main, ["replicate", str(path), "--once"])
    assert result.exit_code == 2
    assert "only a replica has rules to run" in result.output
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
