"""What moves, as processes tell it and the keeper adds it up."""

from __future__ import annotations

from dataclasses import replace

from registry_mesh.assembly.supervision.told import MOVING
from registry_mesh.assembly.watch.moving import BODIES, FILLS, STALE, MovingTold, moving
from registry_mesh.ports.moving import MovingBody, MovingFill
from registry_mesh.telemetry.note import Note

FILL = MovingFill("sha256:aa", 1000, 500, "9" * 9 + "0" * 9, 400, ("r/a",), ("p",), 2, 1)
BODY = MovingBody("10.0.0.1", "", "r/a", "sha256:aa", 1000, 200, 4.0, "joined")


class Node:
    """Two processes, and the clock of all."""

    def __init__(self) -> None:
        self.now = 100.0
        self.notes = [Note(MOVING), Note(MOVING)]
        self.processes = [MovingTold(note, lambda: self.now) for note in self.notes]

    def moving(self) -> dict[str, object]:
        return moving(self.notes, lambda: self.now)


def test_a_blob_that_two_processes_bring_is_one_line() -> None:
    node = Node()
    one, other = node.processes
    one.tell([FILL], [BODY], 1)
    node.now += 2
    one.tell([replace(FILL, fetched=600)], [], 0)
    other.tell([], [], 0)
    other.tell([replace(FILL, held=600, sources=("q",), places=("r/b",), whole_readers=0)], [BODY], 1)
    told = node.moving()
    assert told["fills"] == [
        {
            "places": ["r/a", "r/b"],
            "digest": "sha256:aa",
            "size": 1000,
            "held": 600,
            "parts": FILL.parts,
            "bytes_per_second": 100,
            "left_seconds": 4.0,
            "from": ["p", "q"],
            "whole_readers": 2,
            "range_readers": 2,
        }
    ]
    assert told["readers"] == [
        {
            "client": "10.0.0.1",
            "subject": "",
            "place": "r/a",
            "digest": "sha256:aa",
            "size": 1000,
            "sent": 200,
            "seconds": 4.0,
            "cache": "joined",
            "bytes_per_second": 50,
        }
    ]
    assert (told["fills_in_all"], told["readers_in_all"]) == (1, 1)


def test_what_ended_and_who_died_are_told_of_no_more() -> None:
    node = Node()
    one, other = node.processes
    one.tell([FILL], [], 0)
    other.tell([replace(FILL, digest="sha256:bb")], [], 0)
    one.tell([], [], 0)
    assert [each["digest"] for each in node.moving()["fills"]] == ["sha256:bb"]  # type: ignore[attr-defined]
    node.now += STALE
    assert node.moving() == {"fills": [], "readers": [], "fills_in_all": 0, "readers_in_all": 0}


def test_as_many_as_there_may_be_fit_whatever_they_are_called() -> None:
    long = "x" * 255
    fill = replace(FILL, digest="sha512:" + "f" * 128, places=(f"{long}/{long}",) * 2, sources=(long, long))
    body = replace(BODY, place=f"{long}/{long}", subject=long, digest=fill.digest)
    node = Node()
    fills = [replace(fill, digest=f"{fill.digest[:-4]}{i:04}", range_readers=i) for i in range(2 * FILLS)]
    node.processes[0].tell(fills, [replace(body, seconds=float(i)) for i in range(BODIES)], 2 * BODIES)
    told = node.moving()
    assert len(told["fills"]) == FILLS  # type: ignore[arg-type]
    assert len(told["readers"]) == BODIES  # type: ignore[arg-type]
    assert told["fills"][0]["range_readers"] == 2 * FILLS - 1  # type: ignore[index]
    assert (told["fills_in_all"], told["readers_in_all"]) == (2 * FILLS, 2 * BODIES)
