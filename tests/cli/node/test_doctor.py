"""`doctor`: what is said, and with which exit code."""

from __future__ import annotations

from registry_mesh.cli.node.doctor import document, lines, nagios, severity
from registry_mesh.cli.node.marks import LETTERS, SIGNS, worst

DOWN = {
    "name": "parent-down",
    "state": "warn",
    "sentence": "p:1 refuses connections since 10:31; q:1 stands in.",
    "evidence": ["It is a parent of r.example. It is asked again at 10:32."],
    "next": "its admin",
}
OFFLINE = {
    "name": "offline",
    "state": "broken",
    "sentence": "No parent of r.example answers: offline since 10:31; what is held goes on, tags until 24 Dec.",
    "evidence": [],
    "next": "registry-mesh probe site.yaml",
}
MARKS = SIGNS


def told(*found: dict[str, object]) -> dict[str, object]:
    return {"node": "s", "verdict": "s serves.", "looked_at": 16, "findings": list(found)}


def test_a_good_day() -> None:
    assert list(lines(told(), 100, MARKS)) == [
        "● s serves.",
        "16 things looked at on s: 16 well, 0 worth a look, 0 broken.",
    ]
    assert nagios(told()) == "OK: s serves. | broken=0;;0 look=0;0 looked_at=16"
    assert severity(told()) == 0


def test_trouble_the_name_at_the_end_of_the_line() -> None:
    shown = list(lines(told(OFFLINE, DOWN), 130, MARKS))
    assert shown[1] == "16 things looked at on s: 14 well, 1 worth a look, 1 broken."
    assert shown[3] == f"■ {OFFLINE['sentence']}".ljust(123) + "offline"
    assert shown[4] == "    Next: registry-mesh probe site.yaml"
    assert shown[6:] == [
        f"▲ {DOWN['sentence']}".ljust(119) + "parent-down",
        "    It is a parent of r.example. It is asked again at 10:32.",
        "    Next: its admin",
    ]


def test_a_narrow_terminal_loses_no_word() -> None:
    shown = list(lines(told(OFFLINE), 40, MARKS))
    assert all(len(line) <= 40 for line in shown[2:])
    assert "offline" in shown[-2] or "offline" in shown[-3]


def test_nagios_hears_the_worst() -> None:
    assert severity(told(DOWN)) == 1
    assert severity(told(DOWN, OFFLINE)) == 2
    assert nagios(told(DOWN)).startswith(
        "WARNING: p:1 refuses connections since 10:31; q:1 stands in. (parent-down) |"
    )


def test_marks_where_no_signs_can_be_spelt() -> None:
    shown = list(lines(told(OFFLINE, DOWN), 130, LETTERS))
    assert (shown[0], shown[3][:2], shown[6][:2]) == ("x s serves.", "x ", "! ")
    assert [worst([]), worst(["warn"]), worst(["warn", "broken"])] == ["well", "warn", "broken"]
    assert all(len(mark) == 1 for mark in (*LETTERS.values(), *SIGNS.values()))


def test_for_programs_it_is_one_shape() -> None:
    since = {"since": 1_795_516_264.0, "subject": "p:1", "registries": ["r.example"]}
    found = document(told({**DOWN, **since}, {**OFFLINE, **since}), 1_795_516_936.0)
    assert (found["schema"], found["time"]) == ("registry-mesh/doctor/1", "2026-11-24T10:42:16Z")
    assert found["verdict"] == {"state": "broken", "sentence": "s serves."}
    assert found["findings"] == [
        {
            "id": each["name"],
            "state": each["state"],
            "since": "2026-11-24T10:31:04Z",
            "subject": {"name": "p:1", "registries": ["r.example"]},
            "sentence": each["sentence"],
            "evidence": {"sentences": each["evidence"]},
            "next": {"sentence": f"Next: {each['next']}", "command": command},
            "handbook": f"docs/findings.md#{each['name']}",
        }
        for each, command in ((DOWN, None), (OFFLINE, "registry-mesh probe site.yaml"))
    ]


def test_all_names_what_is_well_too() -> None:
    shown = list(lines(told(DOWN), 100, MARKS, everything=True))
    assert "● offline" in shown and "● parent-down" not in shown
