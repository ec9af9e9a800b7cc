"""`ls`: its table from what a node says; what counts as unused, and what a narrow terminal loses."""

from __future__ import annotations

import pytest

from registry_mesh.cli.node.ls import is_unused, last_use, lines, shortened
from registry_mesh.cli.node.on_images import nothing_called

DAY = 86400.0
NOW = 1_764_000_000.0
NAME = "registry.cern.example/atlas/athena"


def image(tag: str, **more: object) -> dict[str, object]:
    return {
        "name": f"{NAME}:{tag}",
        "size": 18_700_000_000,
        "held": 18_700_000_000,
        "whole": True,
        "pinned": False,
        "pinned_until": None,
        "last_use": NOW - 4 * DAY,
        "pulls_7d": 36,
        **more,
    }


IMAGES = [
    image(
        "25.0.31",
        held=11_400_000_000,
        whole=False,
        coming=True,
        last_use=NOW - 60,
        pulls_7d=4212,
        pinned=True,
        forms=[{"kind": "estargz", "size": 0, "held": 0, "whole": False}],
    ),
    image(
        "24.0.62", forms=[{"kind": kind, "size": 9, "held": 9, "whole": True} for kind in ("estargz", "sif")]
    ),
    image("23.0.1", last_use=None, pulls_7d=0),
]
TOLD = {
    "images": IMAGES,
    "on_disk": 41_600_000_000,
    "used": 41_800_000_000_000,
    "quota": 50_000_000_000_000,
    "uses_since": NOW - 100 * DAY,
}


def test_a_row_says_what_is_held_when_it_was_used_and_how_often_pulled() -> None:
    assert list(lines(IMAGES, TOLD, NOW)) == [
        "IMAGE                                               HELD     SIZE  LAST USE  PULLS 7D  ALSO AS",
        "registry.cern.example/atlas/athena:25.0.31  60 %, coming  18.7 GB       now     4,212  estargz 0 %  pinned",
        "registry.cern.example/atlas/athena:24.0.62         whole  18.7 GB       4 d        36  estargz, sif",
        "registry.cern.example/atlas/athena:23.0.1          whole  18.7 GB   > 100 d         0",
        "3 of 3 images; 48.8 GB of them here. All take 41.6 GB, as layers are shared; the store 41.8 TB of 50 TB.",
        "Unused for 90 d: 1, 18.7 GB.",
    ]


def test_columns_go_from_the_right_and_names_are_cut_in_the_middle() -> None:
    wide = next(lines(IMAGES, TOLD, NOW, 120))
    assert wide.endswith("ALSO AS")
    narrow = list(lines(IMAGES, TOLD, NOW, 50))
    assert narrow[0].split() == ["IMAGE", "HELD", "SIZE"]
    assert all(len(line) <= 50 for line in narrow[:4])
    assert narrow[1].split()[0].endswith("athena:25.0.31"), "the tag is never cut"
    assert "…" in narrow[1]
    assert shortened("short:1", 20) == "short:1"


@pytest.mark.parametrize(
    ("last", "began", "unused", "said"),
    [
        (NOW - 30, None, False, "now"),
        (NOW - 91 * DAY, NOW - DAY, True, "91 d"),
        (NOW - 89 * DAY, NOW - DAY, False, "89 d"),
        (None, NOW - 91 * DAY, True, "> 91 d"),
        (None, NOW - 89 * DAY, False, "> 89 d"),
        (None, None, False, "-"),
    ],
)
def test_what_is_not_known_is_not_called_unused(
    last: float | None, began: float | None, unused: bool, said: str
) -> None:
    told = {**TOLD, "uses_since": began}
    one = image("1", last_use=last)
    assert is_unused(one, told, NOW - 90 * DAY) is unused
    assert last_use(one, told, NOW) == said


def test_a_node_of_an_older_version_says_less() -> None:
    old = {key: value for key, value in image("1").items() if key not in ("last_use", "pulls_7d")}
    rows = list(lines([old], {**TOLD, "uses_since": None, "images": [old]}, NOW))
    assert rows[1].split()[1:] == ["whole", "18.7", "GB", "-", "-"]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("atlas/athna", "atlas/athena"),
        ("atlas/athna:25.0.31", "atlas/athena:25.0.31"),
        ("cms/*", ""),
    ],
)
def test_a_slip_of_a_name_is_told_what_may_be_meant(name: str, near: str) -> None:
    held = [{"repository": "atlas/athena", "tag": tag} for tag in ("25.0.31", "24.0.62", "")]
    said = f"\n  Did you mean {near}? registry-mesh ls {near}" if near else ""
    assert nothing_called({"images": held}, name) == f"Nothing here is called {name}.{said}"
