"""A node's records are kept as long as its registries' tags may be answered by them."""

from __future__ import annotations

import time
from pathlib import Path

from registry_mesh.assembly.sources.storage import open_storage
from registry_mesh.assembly.watch.record_upkeep import RecordUpkeep
from registry_mesh.config.load import load
from registry_mesh.content.nest.remembered import Entry

DAY = 86_400.0
TAG = "remembered/registry.example/team/app/_tags/v1"


async def test_old_records_go_when_no_registry_answers_by_them(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(
        f"role: site\nlisten: {{port: 5000}}\nstore: {{disk: {{path: {tmp_path / 'store'}}}}}\n"
        "registries:\n  registry.example: {parents: [[http://127.0.0.1:9]], tags: {offline_grace: 90d}}\n"
        "  other.example: {parents: [[http://127.0.0.1:9]]}\n"
    )
    config = load(path).config
    storage = await open_storage(config)
    told: list[None] = []
    try:
        await storage.records.put(TAG, Entry(None, 1.0, "ManifestUnknown").encode())
        upkeep = RecordUpkeep(config, storage, lambda: told.append(None))
        now = time.time()
        for after, left in (
            (0, True),
            (31 * DAY, True),
            (89 * DAY, True),
            (91 * DAY, False),
            (92 * DAY, False),
        ):
            await upkeep.look(now + after)
            assert (await storage.records.get(TAG) is not None) == left, after
    finally:
        await storage.close()
    assert len(told) == 1
