"""What a node says of the runs of an origin's rules over its own tags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from registry_mesh.assembly.node.background import in_background
from registry_mesh.assembly.runs.retention import RetentionRuns
from registry_mesh.assembly.sources.repositories import open_repositories
from registry_mesh.assembly.sources.storage import open_storage
from registry_mesh.config.load import load
from tests.eventually import eventually
from tests.simulators.origins import push_image, repository
from tests.simulators.whole import write_whole

RULES = """\
schema: registry-mesh/rules/2
guard: 10%
rules:
  - {from: registry.example, repos: "**", tags: "*", keep: {newest: 1, by: seen}, delete: 0s}
"""


def config(folder: Path, **more: Any) -> Path:
    (folder / "rules").mkdir()
    (folder / "rules" / "all.yaml").write_text(RULES)
    path = folder / "origin.yaml"
    retention = {"rules": str(folder / "rules"), "interval": "20ms"}
    store = {"disk": {"path": str(folder / "store")}}
    whole = {"role": "origin", "registry": "registry.example", "store": store, "retention": retention, **more}
    path.write_text(yaml.safe_dump(whole))
    return path


async def test_a_guard_that_stops_and_rules_that_are_invalid_are_told(tmp_path: Path) -> None:
    loaded = load(config(tmp_path)).config
    storage = await open_storage(loaded)
    try:
        repo = repository(open_repositories(loaded, storage), "app")
        for tag in range(8):
            await push_image(repo, str(tag), f"t{tag}")
        runs = RetentionRuns(lambda: loaded, storage)
        first = runs.status()
        assert first is not None and first.ended == 0.0
        async with in_background(runs.repeat):
            stopped = await eventually(lambda: (runs.status() or first).stopped)
            assert [(each.registry, each.deletes, each.tags) for each in stopped] == [
                ("registry.example", 7, 8)
            ]
            write_whole(tmp_path / "rules" / "all.yaml", "schema: registry-mesh/rules/2\nrules: [{}]\n")
            faults = await eventually(lambda: (runs.status() or first).faults)
            assert any("from is missing" in each for each in faults)
            write_whole(tmp_path / "rules" / "all.yaml", RULES.replace("10%", "100%"))
            await eventually(lambda: (runs.status() or first).deleted == 7)
        assert len((await repo.tags.tags(100)).tags) == 1
    finally:
        await storage.close()


async def test_where_there_are_no_rules_nothing_is_said(tmp_path: Path) -> None:
    loaded = load(config(tmp_path, retention={})).config
    storage = await open_storage(loaded)
    assert RetentionRuns(lambda: loaded, storage).status() is None
    await storage.close()
