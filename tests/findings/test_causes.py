"""Which finding a refusal names."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from registry_mesh.edge.faults import WHY
from registry_mesh.findings.causes import CAUSES, cause
from registry_mesh.findings.finding import NAMES, Finding

R, S = "r.example", "s.example"


def found(name: str, *registries: str, hides: bool = False) -> dict[str, object]:
    return asdict(Finding(name, f"{name} is so.", registries=registries, hides=hides))


@pytest.mark.parametrize(
    ("side", "reason", "so", "named"),
    [
        ("parent", "down", [found("parent-down", R), found("offline", R)], "offline"),
        ("parent", "down", [found("tls-untrusted", R)], "tls-untrusted"),
        ("parent", "unavailable", [found("parent-down", R)], "parent-down"),
        ("parent", "unavailable", [found("own-link-down")], "own-link-down"),
        ("parent", "throttled", [found("parent-down", R), found("throttled", R)], "throttled"),
        ("parent", "login", [found("offline", R), found("parent-denied", R)], "parent-denied"),
        ("parent", "denied", [found("parent-denied", S, R)], "parent-denied"),
        ("parent", "denied", [found("parent-down", R)], None),
        ("parent", "lied", [found("parent-lies", R)], "parent-lies"),
        ("parent", "loop", [found("offline", R), found("loop", R)], "loop"),
        ("parent", "down", [found("offline", S)], None),
        ("store", "broken", [found("offline", R), found("store-fault")], "store-fault"),
        ("store", "full", [found("store-full")], "store-full"),
        ("node", "busy", [found("limits-low")], "limits-low"),
        ("node", "unexpected", [found("offline", R)], None),
        ("caller", "unknown", [found("parent-down", R)], None),
        ("caller", "unknown", [found("parent-down", R, hides=True)], "parent-down"),
        ("caller", "unknown", [found("replication-behind", hides=True)], "replication-behind"),
        ("caller", "denied", [found("offline", R), found("rules-invalid", hides=True)], None),
        ("parent", "down", [], None),
    ],
)
def test_a_refusal_names_its_cause(
    side: str, reason: str, so: list[dict[str, object]], named: str | None
) -> None:
    told = cause(side, reason, R, so)
    assert (told and told["name"]) == named


def test_every_cause_is_a_finding_and_every_reason_one_that_there_is() -> None:
    assert {name for names in CAUSES.values() for name in names} <= set(NAMES)
    assert set(CAUSES) - {("parent", "loop")} <= set(WHY.values()), "a loop is told by its status, 508"
