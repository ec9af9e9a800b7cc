"""The file of pulls: what is added, replaced, passed on and forgotten."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from registry_mesh.ports.failures import StoreBroken
from registry_mesh.ports.pulls import Pull
from registry_mesh.pulls.ledger import Asked, Ledger

DIGEST, OTHER, LAYER = (f"sha256:{letter * 64}" for letter in "abc")
PULL = Pull("2026-11-29", "cern", "r.example", "atlas/app", "manifest", DIGEST, "1", "alice", 2, 100)
BY_DIGEST = replace(PULL, tag="", who="192.0.2.7", day="2026-11-30")
BLOB = replace(PULL, kind="blob", digest=LAYER, tag="", bytes=5000)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(str(tmp_path / "new" / "pulls.db"))
    ledger.add([PULL, BY_DIGEST, BLOB])
    return ledger


def test_counts_add_up_and_those_of_others_are_replaced(ledger: Ledger) -> None:
    ledger.add([PULL, BLOB])
    for _ in range(3):
        ledger.replace([replace(PULL, site="fnal", pulls=7)])
    found = ledger.find(Asked(who="alice", reference="1", repository="atlas/app"))
    assert sorted((pull.site, pull.pulls, pull.bytes) for pull in found) == [
        ("cern", 4, 200),
        ("fnal", 7, 100),
    ]


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (Asked(), [BY_DIGEST, PULL, BLOB]),
        (Asked(repository="atlas/app", reference="1"), [BY_DIGEST, PULL]),
        (Asked(repository="atlas/app", reference="2"), []),
        (Asked(repository="atlas/other", reference="1"), []),
        (Asked(reference=DIGEST), [BY_DIGEST, PULL]),
        (Asked(reference=LAYER), [BLOB]),
        (Asked(reference=OTHER), []),
        (Asked(since="2026-11-30"), [BY_DIGEST]),
        (Asked(since="2026-12-01"), []),
        (Asked(registry="r.example", who="alice"), [PULL, BLOB]),
        (Asked(registry="elsewhere.example"), []),
        (Asked(who="' OR 1=1 --"), []),
    ],
)
def test_what_is_asked_for_is_found(ledger: Ledger, asked: Asked, wanted: list[Pull]) -> None:
    assert set(ledger.find(asked)) == set(wanted)


def test_what_changed_is_passed_on_and_passed_on_once(ledger: Ledger) -> None:
    fresh = ledger.fresh("r.example", 10)
    assert (set(fresh), ledger.fresh("elsewhere.example", 10)) == ({PULL, BY_DIGEST, BLOB}, [])
    ledger.add([PULL])  # while they are on their way
    ledger.passed_on(fresh)
    again = [replace(PULL, pulls=4, bytes=200)]
    assert ledger.fresh("r.example", 10) == again
    ledger.passed_on(again)
    ledger.replace(again)  # what is known already is no news
    assert ledger.fresh("r.example", 10) == []


def test_old_days_go_and_the_names_with_them(ledger: Ledger) -> None:
    assert ledger.forget("2026-11-30") == 2
    assert ledger.find(Asked()) == [BY_DIGEST]
    assert ledger.forget("2026-11-30") == 0
    assert ledger.last_days() == {("r.example", "atlas/app", "", DIGEST): "2026-11-30"}


def test_who_does_not_count_moves_no_last_day(ledger: Ledger) -> None:
    ledger.add([replace(PULL, who="robot:site", day="2026-12-01"), replace(PULL, who="robot:site", tag="2")])
    alone = {("r.example", "atlas/app", "1", DIGEST): "2026-11-29"}
    anybody = {("r.example", "atlas/app", "", DIGEST): "2026-11-30"}
    assert ledger.last_days(["robot:site", "nobody"]) == alone | anybody
    assert ledger.last_days(["robot:site", "192.0.2.7"]) == alone
    assert ledger.last_days()["r.example", "atlas/app", "1", DIGEST] == "2026-12-01"


def test_no_count_of_a_node_below_keeps_the_others_from_being_added_up(ledger: Ledger) -> None:
    most = (1 << 62) - 1
    ledger.replace([replace(PULL, site="evil", who=who, pulls=most, bytes=most) for who in "abc"])
    ledger.replace([replace(PULL, site="cern", repository="b", pulls=7)])
    counts = {(each.repository, each.tag): each.pulls for each in ledger.counts("2026-01-01")}
    assert counts == {("atlas/app", "1"): (1 << 63) - 1, ("atlas/app", ""): 2, ("b", "1"): 7}


def test_processes_write_at_once(tmp_path: Path) -> None:
    path = str(tmp_path / "pulls.db")
    writers = [
        threading.Thread(target=lambda: [Ledger(path).add([PULL]) for _ in range(20)]) for _ in range(4)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [pull.pulls for pull in Ledger(path).find(Asked())] == [2 * 80]


def test_what_is_no_file_of_pulls_is_told(tmp_path: Path) -> None:
    (tmp_path / "pulls.db").write_text("something else, and long enough to be looked at" * 100)
    with pytest.raises(StoreBroken, match=r"pulls\.db"):
        Ledger(str(tmp_path / "pulls.db")).add([PULL])
    with pytest.raises(StoreBroken):
        Ledger(str(tmp_path)).find(Asked())
