"""Every finding has its name in the metrics and its line in the handbook."""

from __future__ import annotations

import re
from pathlib import Path

from registry_mesh.findings.finding import NAMES, State
from registry_mesh.telemetry import names

PAGE = Path(__file__).parents[2] / "docs" / "findings.md"


def test_the_metric_knows_every_finding() -> None:
    assert tuple(NAMES) == names.FINDINGS
    assert set(names.FINDING_STATES) == {state.value for state in State}


def test_the_handbook_knows_every_finding() -> None:
    assert re.findall(r"^\| `([a-z-]+)` \| ([■▲])", PAGE.read_text(), re.MULTILINE) == [
        (name, "■" if state is State.BROKEN else "▲") for name, state in NAMES.items()
    ]
