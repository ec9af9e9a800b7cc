"""What each parent of a registry is to it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from registry_mesh.admin.parent_use import with_use
from registry_mesh.admin.status import ParentStatus, parent_status
from registry_mesh.ports.standing import Standing, State
from registry_mesh.telemetry.names import PARENT_STATES

UP = parent_status("http://p:1", Standing(State.UP, 1.0, "", None, None, "", None, None), 100.0, 1, 0)
NEW, DOWN = replace(UP, state="unasked"), replace(UP, state="down")
SLOW, WAITS = replace(UP, slow_for_seconds=20.0), replace(UP, state="throttled")


@pytest.mark.parametrize(
    ("groups", "uses"),
    [
        ([[UP], [UP]], [["in_use"], ["standing_by"]]),
        ([[UP, UP], [UP]], [["in_use", "in_use"], ["standing_by"]]),
        ([[DOWN], [UP], [UP]], [["silent"], ["in_use"], ["standing_by"]]),
        ([[NEW], [NEW]], [["standing_by"], ["standing_by"]]),
        ([[WAITS], [UP]], [["waiting"], ["in_use"]]),
        ([[replace(UP, state="silent")]], [["silent"]]),
        ([[SLOW, UP]], [["left_out", "in_use"]]),
        ([[SLOW], [DOWN]], [["in_use"], ["silent"]]),
        ([[replace(UP, denied_since_seconds=3.0), UP]], [["left_out", "in_use"]]),
        ([[replace(UP, no_registry=404)]], [["left_out"]]),
        ([], []),
    ],
)
def test_in_use_is_who_is_asked_first(groups: list[list[ParentStatus]], uses: list[list[str]]) -> None:
    assert [[each.use for each in group] for group in with_use(groups)] == uses
    assert {use for group in uses for use in group} <= set(PARENT_STATES)
