"""Jobs of a process go on, whatever happens to them."""

from __future__ import annotations

import logging

import pytest

from registry_mesh.assembly.node.background import in_background
from tests.eventually import eventually


async def test_a_job_that_fails_is_told_of_and_begun_anew(caplog: pytest.LogCaptureFixture) -> None:
    begun: list[str] = []

    async def job() -> None:
        begun.append("again")
        if len(begun) < 3:
            raise RuntimeError(f"failed {len(begun)}")

    async with in_background(job, pause=0.0):
        await eventually(lambda: len(begun) > 4, "it to go on")
    ended = len(begun)
    said = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [str(each.exc_info[1]) for each in said if each.exc_info] == ["failed 1", "failed 2"]
    assert len(begun) == ended, "and ends with what it is beside"
