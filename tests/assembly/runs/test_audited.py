"""What a node does by itself with what it stores is in the audit log: it, and not only what people begin."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from registry_mesh.assembly.node.background import in_background
from registry_mesh.assembly.runs.collection import collect_again_and_again
from registry_mesh.assembly.runs.retention import RetentionRuns
from registry_mesh.assembly.sources.audited import ran
from registry_mesh.assembly.sources.repositories import open_repositories
from registry_mesh.assembly.sources.storage import open_storage
from registry_mesh.config.load import parse
from registry_mesh.config.schema import Config
from registry_mesh.ports.storage import Storage
from registry_mesh.telemetry.audit import json_schema
from tests.eventually import eventually
from tests.simulators.origins import push_blob, push_image, repository

RULES = """\
schema: registry-mesh/rules/2
guard: 100%
rules:
  - {from: registry.example, repos: "**", tags: "*", keep: {newest: 1, by: seen}, delete: 0s}
"""

Lines = Sequence[dict[str, Any]]


def config(folder: Path, rules: str = RULES) -> Config:
    (folder / "rules").mkdir()
    (folder / "rules" / "all.yaml").write_text(rules)
    whole = {
        "role": "origin",
        "name": "origin-1",
        "registry": "registry.example",
        "store": {"disk": {"path": str(folder / "store")}},
        "collection": {"interval": "20ms"},
        "retention": {"rules": str(folder / "rules"), "interval": "20ms"},
    }
    loaded = parse(json.dumps(whole), "origin.yaml").config
    return loaded.model_copy(update={"pushes": loaded.pushes.model_copy(update={"grace": 0.0})})


@asynccontextmanager
async def stored(config: Config) -> AsyncIterator[Storage]:
    storage = await open_storage(config)
    try:
        yield storage
    finally:
        await storage.close()


async def told(lines: list[str], is_there: Callable[[Lines], bool]) -> Lines:
    """All lines there are when those that are waited for are among them."""

    def read() -> Lines:
        return [json.loads(each) for each in lines]

    found: Lines = await eventually(read, until=is_there)
    for each in found:
        jsonschema.validate(each, json_schema())
        assert each["node"] == "origin-1" and each["registry"] == "registry.example"
    return found


def reasons(lines: Lines, event: str) -> list[str]:
    return [each["reason"] for each in lines if each["event"] == event]


async def test_a_collection_of_the_node_s_own(tmp_path: Path) -> None:
    loaded, lines = config(tmp_path), list[str]()
    async with stored(loaded) as storage:
        await push_blob(repository(open_repositories(loaded, storage), "app"), b"loose")
        async with in_background(lambda: collect_again_and_again(lambda: loaded, storage, lines.append)):
            found = await told(lines, lambda all_: "removed 1 (5 bytes)" in reasons(all_, "gc"))
    assert {each["subject"] for each in found} == {"origin-1 (gc)"}


async def test_a_retention_of_the_node_s_own(tmp_path: Path) -> None:
    loaded, lines = config(tmp_path), list[str]()
    async with stored(loaded) as storage:
        repo = repository(open_repositories(loaded, storage), "app")
        for tag in ("t1", "t2"):
            await push_image(repo, tag, tag)
        async with in_background(RetentionRuns(lambda: loaded, storage, lines.append).repeat):
            found = await told(lines, lambda all_: "deleted 1 tags" in reasons(all_, "retention"))
    first = [each["event"] for each in found].index("retention")
    assert [each["event"] for each in found[:first]] == ["delete"], "the tag, then the run that deleted it"
    assert found[first]["subject"] == "origin-1 (retention)"


async def test_a_run_that_may_not_or_cannot_is_told_too(tmp_path: Path) -> None:
    loaded, lines = config(tmp_path, rules="rules: [{}]\n"), list[str]()
    async with stored(loaded) as storage:
        async with in_background(RetentionRuns(lambda: loaded, storage, lines.append).repeat):
            await told(lines, lambda all_: "failed: there are no valid rules" in reasons(all_, "retention"))


@pytest.mark.parametrize("text", ["removed\n{}", "x" * 5000, "\x1b[2J"])
def test_no_reason_forges_a_line(tmp_path: Path, text: str) -> None:
    line = ran(config(tmp_path), "gc", "origin-1", text)
    assert line.count("\n") == 1 and line.isascii() and len(line) < 2000
    jsonschema.validate(json.loads(line), json_schema())
