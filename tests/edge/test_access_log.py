"""The access log: lines are gathered and written by a thread."""

from __future__ import annotations

import json
from pathlib import Path

from registry_mesh.edge.access_log import AccessLog
from tests.eventually import eventually

MOST = 100_000


async def test_lines_kept_quickly_are_written_and_bounded(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    log = AccessLog(str(file))
    log.open()
    quickly = log.quickly
    quickly("one\n")
    await eventually(lambda: file.read_text() == "one\n", "the first line")
    for number in range(MOST + 7):
        quickly(f"{number}\n")
    log.look()
    log.add("one too many\n")
    await log.close()
    *lines, last = file.read_text().splitlines()
    assert lines == ["one", *map(str, range(MOST))]
    assert json.loads(last)["dropped"] == 8
