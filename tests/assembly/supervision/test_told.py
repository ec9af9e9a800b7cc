"""What the keeper tells the workers of what is so."""

from __future__ import annotations

from dataclasses import replace

from registry_mesh.assembly.supervision.told import Told
from registry_mesh.findings.finding import Finding

OFFLINE = Finding(
    "offline", "No parent of r.example answers.", "r.example", ("p:1 is away.",), "probe", 1_795_516_936.0
)
IDLE = Finding(
    "rule-empty", "releases selects nothing.", "releases", ("A line that says why. " * 20,), "mend it", 5.0
)


def test_of_more_than_there_is_room_for_the_worst_is_told() -> None:
    """A file with hundreds of rules that take nothing says a line of each."""
    told = Told()
    here = replace(OFFLINE, registries=("r.example",))
    told.show([*(replace(IDLE, subject=f"rule-{i}") for i in range(400)), here])
    said = told.explain("parent", "down", "r.example")
    assert said is not None and said["name"] == "offline"
    assert told.cut_off() == "r.example=1795516936"
    assert told.cut_off(lambda registry: registry == "r.example") == "", "the finding outlasts it"
    told.show([IDLE])
    assert told.explain("parent", "down", "r.example") is None, "it is over"
    assert told.cut_off() == ""
    told.show([])
    assert told.explain("parent", "down", "r.example") is None
