"""A run whose history cannot be written."""

from __future__ import annotations

from pathlib import Path

from registry_mesh.assembly.runs.replicator import open_replicator
from tests.simulators.images import HOST, Content
from tests.simulators.replica_tree import replica_tree


async def test_it_runs_all_the_same_and_says_so(tmp_path: Path) -> None:
    async with replica_tree(tmp_path) as tree:
        content = Content()
        content.image("one", "1")
        await tree.push("app", content)
        (tmp_path / "rules").mkdir(exist_ok=True)
        (tmp_path / "rules" / "r.yaml").write_text(
            f"schema: registry-mesh/rules/2\nrules: [{{from: {HOST}, repos: app, tags: '1'}}]\n"
        )
        config = tree.replica_config()
        async with open_replicator(config) as replicator:
            blocked = tmp_path / "replica" / "records" / "receipts" / "runs.json.rec"
            blocked.mkdir(parents=True)
            outcome = await replicator.run()
        assert outcome.switched == 1
        assert [each for each in outcome.notes if each.startswith("this run is not in the history of runs: ")]
