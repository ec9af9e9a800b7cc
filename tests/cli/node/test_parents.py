"""`parents`: the table, and what is amiss below it."""

from __future__ import annotations

from typing import Any

import pytest

from registry_mesh.cli.node.marks import LETTERS
from registry_mesh.cli.node.parents import lines, of_parent
from registry_mesh.cli.node.parents_document import document

NOW = 1_795_516_936.0  # 2026-11-24 10:42:16 UTC


def parent(name: str, use: str, **more: object) -> dict[str, Any]:
    told = {
        "url": f"https://{name}", "use": use, "state": "up", "since_seconds": 41.2 * 86400, "latency_ms": 9.0,
        "bytes_per_second": None, "day_bytes": 10_000_000_000, "lies": 0, "why": "", "last_error": "",
        "slow_since_seconds": None, "slow_for_seconds": None, "next_try_seconds": None, "quota_remaining": None,
        "quota_limit": None,
    }  # fmt: skip
    return {**told, **more}


SLOW = {"slow_since_seconds": 676.0, "slow_for_seconds": 12.0, "bytes_per_second": 900_000}
TOLD = {
    "registry.cern.example": {
        "parents": [
            [
                parent("ch-geneva-r1", "in_use", bytes_per_second=212_000_000, day_bytes=310_000_000_000),
                parent("fr-lyon-r1", "left_out", latency_ms=11.0, lies=1, **SLOW),
            ],
            [parent("cern-origin-1", "standing_by", latency_ms=0.32)],
        ]
    },
    "docker.io": {
        "parents": [
            [
                parent(
                    "registry-1.docker.io", "waiting", state="throttled", since_seconds=5416.0, latency_ms=96.4,
                    why="answered 429", quota_remaining=0, quota_limit=100, next_try_seconds=3464.0,
                )
            ]
        ]
    },
}  # fmt: skip


def test_the_table_and_what_is_amiss() -> None:
    assert list(lines(TOLD, NOW)) == [
        "REGISTRY / PARENT         GROUP  STATE        SINCE  LATENCY      RATE    24 H  WRONG  REVISION",
        "registry.cern.example",
        "  ● ch-geneva-r1          1      in use        41 d     9 ms  212 MB/s  310 GB      0  -",
        "  ▲ fr-lyon-r1            1      left out     10:31    11 ms  900 kB/s   10 GB      1  -",
        "  ● cern-origin-1         2      standing by   41 d  0.32 ms         -   10 GB      0  -",
        "docker.io",
        "  ▲ registry-1.docker.io  1      waits        09:12    96 ms         -   10 GB      0  -",
        "",
        "▲ fr-lyon-r1: slow, 900 kB/s.",
        "▲ registry-1.docker.io: answered 429; asked again in 58 min; 0 of 100 requests left.",
    ]


@pytest.mark.parametrize(
    ("hedges", "said"),
    [
        (
            {"won": 9, "lost": 3},
            "later than usual; another was asked beside it 12 times in 640 requests (1.9 %), and was first 9 times.",
        ),
        (
            {"denied": 4},
            "later than usual; another was asked beside it 0 times in 640 requests (0.0 %), and was first 0 times; "
            "4 times none was, as the budget was used up.",
        ),
        ({"won": 0, "denied": 0}, None),
    ],
)  # fmt: skip
def test_how_often_another_was_asked_beside_it(hedges: dict[str, int], said: str | None) -> None:
    one = {"r.example": {"parents": [[parent("near", "in_use", requests=640, hedges=hedges)]]}}
    assert list(lines(one, NOW))[3:] == (["", f"  near: {said}"] if said else [])


@pytest.mark.parametrize(
    ("kind", "left", "lost", "word", "said"),
    [
        ("silent", 30 * 86400, True, "silent", "offline since 10:31; what is held goes on, tags for 30 d more."),
        (
            "failing", 7 * 86400, False, "fails",
            "no parent answers but with errors since 10:31; what is held goes on, tags for 7 d more.",
        ),
        ("silent", 0, True, "silent", "offline since 10:31; what is held goes on, tags no more."),
    ],
)  # fmt: skip
def test_silence_is_told_apart_from_errors(kind: str, left: float, lost: bool, word: str, said: str) -> None:
    outage = {"parents": kind, "since_seconds": 676.0, "tags_for_seconds": left}
    gone = parent("p", "silent", state="down", since_seconds=676.0, why="is away", lost=lost)
    shown = list(lines({"r.example": {"parents": [[gone]], "outage": outage}}, NOW))
    assert shown[2].split()[:4] == ["▲", "p", "1", word]
    assert shown[4:] == [f"■ r.example: {said}", "▲ p: is away."]


def test_one_parent_by_its_name_and_other_letters() -> None:
    (host,) = (only := of_parent(TOLD, "fr-lyon-r1"))
    assert host == "registry.cern.example"
    assert [line[:16].rstrip() for line in lines(only, NOW, LETTERS)][2] == "  ! fr-lyon-r1"
    assert of_parent(TOLD, "nobody") == {}
    assert list(lines({"r": {"parents": []}}, NOW)) == ["no registry has parents"]


def test_other_servers_of_the_site_come_last() -> None:
    sibling = parent("ch-zurich-2", "in_use", latency_ms=0.3, bytes_per_second=890_000_000, day_bytes=None)
    shown = list(lines({"r.example": {"parents": []}}, NOW, siblings=[sibling]))
    assert shown[1:] == [
        "r.example",
        "servers of this site",
        "  ● ch-zurich-2       sibling  in use   41 d   0.3 ms  890 MB/s     -      0  -",
    ]


def test_programs_are_given_a_list_of_parents() -> None:
    sibling = parent("ch-zurich-2", "in_use")
    status = {"name": "ch-zurich-1", "role": "site", "version": "0.9.2"}
    told = document(status, {**TOLD, "docker.io": {**TOLD["docker.io"], "outage": None}}, [sibling], NOW)
    assert (told["schema"], told["node"], told["time"]) == (
        "registry-mesh/parents/1", "ch-zurich-1", "2026-11-24T10:42:16Z",
    )  # fmt: skip
    named = [(each["registry"], each["name"], each["group"], each["state"]) for each in told["parents"]]
    assert named == [
        ("registry.cern.example", "ch-geneva-r1", 1, "in_use"),
        ("registry.cern.example", "fr-lyon-r1", 1, "left_out"),
        ("registry.cern.example", "cern-origin-1", 2, "standing_by"),
        ("docker.io", "registry-1.docker.io", 1, "waiting"),
        ("", "ch-zurich-2", "sibling", "in_use"),
    ]
    assert told["parents"][3]["answers"] == "throttled"
    assert told["registries"][1] == {"name": "docker.io", "outage": None}


@pytest.mark.parametrize(("status", "words"), [(200, "a web page"), (404, "404")])
def test_what_is_no_registry_is_said_to_be_none(status: int, words: str) -> None:
    told = {"r.example": {"parents": [[parent("p:1", "left_out", no_registry=status)]]}}
    assert list(lines(told, NOW))[-1] == f"▲ p:1: is no registry: it answers /v2/ with {words}."


def test_what_a_parent_that_answers_failed_with_before_is_no_complaint() -> None:
    told = {"r.example": {"parents": [[parent("p", "in_use", last_error="refuses connections")]]}}
    assert list(lines(told, NOW))[-1] == "● p: answers again; before: refuses connections."
