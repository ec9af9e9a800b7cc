"""What evict says of images that would go."""

from __future__ import annotations

from typing import Any

from registry_mesh.cli.node.evict import lines, question

NOW = 1_000_000.0
DAY = 86400.0


def image(tag: str, frees: float, held: float, **more: Any) -> dict[str, Any]:
    told = {"name": f"r.example/atlas/athena:{tag}", "frees": frees, "held": held, "last_use": None}
    return told | {"shared_with": {}, "sharing_images": 0} | more


def said(*images: dict[str, Any], since: float | None = None) -> list[str]:
    return list(lines({"images": images, "uses_since": since}, NOW))


def test_each_line_says_when_it_was_used_and_what_stays() -> None:
    shared = {"r.example/atlas/athena:25.0.30": 8.1e9, "r.example/atlas/athena:25.0.28": 1e9}
    assert said(
        image("24.0.62", 9.8e9, 17.9e9, last_use=NOW - 4 * DAY, shared_with=shared, sharing_images=12),
        image("24.0.1", 3.4e9, 3.4e9, last_use=NOW - 41 * DAY),
        image("main", 1e6, 2e6, last_use=NOW, shared_with={"r.example/cms/a:1": 1e6}, sharing_images=1),
    ) == [
        "  r.example/atlas/athena:24.0.62  frees 9.8 of 17.9 GB  used 4 d ago, shares 8.1 GB with 25.0.30 and 11 more",
        "  r.example/atlas/athena:24.0.1   frees 3.4 of 3.4 GB   used 41 d ago",
        "  r.example/atlas/athena:main     frees 1 of 2 MB       used now, shares 1 MB with r.example/cms/a:1",
    ]


def test_what_is_not_known_is_not_said() -> None:
    assert said(image("1", 1e6, 1e6)) == ["  r.example/atlas/athena:1  frees 1 of 1 MB"]
    assert said(image("1", 1e6, 1e6), since=NOW - 3 * DAY)[0].endswith("used > 3 d ago")


def test_a_node_of_a_version_before_says_less() -> None:
    assert said({"name": "a:1", "frees": 1, "held": 2}) == ["  a:1  frees 1 of 2 B"]


def test_what_it_costs_to_bring_them_again_is_asked_about() -> None:
    def asked(*prices: str) -> str:
        return question({"images": [image("1", 1, 1, price=each) for each in prices], "freed": 13.2e9})

    assert asked("0.08 CHF/GB", "0.08 CHF/GB") == (
        "Evict 2 images, 13.2 GB? The next pull brings them again, 1.06 CHF."
    )
    assert asked("") == "Evict 1 image, 13.2 GB? The next pull brings it again."
    assert asked("0.08 CHF/GB", "").endswith("brings them again."), "of some it is not known"
