"""What the log says of runs: one line where something came of one, none where nothing did."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from registry_mesh.assembly.runs.run_told import tell
from registry_mesh.content.snapshot.records.outcome import Outcome, Trouble
from registry_mesh.telemetry.logs import FIELDS
from registry_mesh.telemetry.phases import phase

IDLE = Outcome(repositories=1, tags=2, held=2, switched=0, size=0, notes=("rule a selects nothing of h",))


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(each.levelname, each.message) for each in caplog.records]


@pytest.mark.parametrize(
    "news",
    [
        {"switched": 1},
        {"size": 7},
        {"deleted": 1},
        {"tags": 3},
        {"notes": ()},
    ],
)
def test_a_run_is_told_once_until_something_changes(
    caplog: pytest.LogCaptureFixture, news: dict[str, object]
) -> None:
    caplog.set_level(logging.INFO)
    tell(IDLE, 0.25, None)
    assert lines(caplog) == [("INFO", "replication complete")]
    assert getattr(caplog.records[0], FIELDS)["seconds"] == 0.25
    for _ in range(3):
        tell(IDLE, 0.25, IDLE)
    assert len(caplog.records) == 1
    tell(replace(IDLE, **news), 0.25, IDLE)  # type: ignore[arg-type]  # a field of its own type
    assert len(caplog.records) == 2


def test_troubles_are_told_each_time_and_their_end_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bad = replace(IDLE, troubles=(Trouble("a:1", "down"),))
    tell(bad, 1.0, IDLE)
    tell(bad, 1.0, bad)
    tell(IDLE, 1.0, bad)
    assert [each.levelname for each in caplog.records] == ["WARNING", "WARNING", "INFO"]


async def test_the_phase_of_a_run_says_nothing_beside(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with phase("replicate"):
        pass
    assert caplog.records == []
