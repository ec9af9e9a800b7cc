"""`pull-through --dry-run`: the table, what it comes to, and what is said where it would be refused."""

from __future__ import annotations

from typing import Any

from registry_mesh.cli.node.pull_through import lines, refused

R = "registry.cern.example"
PARENT = {
    "url": "https://ch-geneva-r1",
    "use": "in_use",
    "bytes_per_second": 212_000_000,
    "price": "0.08 CHF/GB",
}
STATUS: dict[str, Any] = {"registries": {R: {"parents": [[PARENT]]}}, "findings": []}
GB = 10**9


def blob(size: float, held: float) -> dict[str, object]:
    return {"kind": "blob", "digest": "sha256:1", "size": int(size * GB), "held": int(held * GB)}


IMAGE: dict[str, Any] = {
    "name": f"{R}/atlas/athena:25.0.31",
    "registry": R,
    "digest": "sha256:9f3c41d0e7a2" + "0" * 52,
    "parts": [blob(1, 1), blob(7.83, 7.83), blob(4.21, 2.57), blob(3, 0), blob(2.66, 0)],
}


def test_equal_parts_are_one_line() -> None:
    assert list(lines(IMAGE, STATUS, {"quota": 50 * GB})) == [
        f"{R}/atlas/athena:25.0.31 is sha256:9f3c41d0e7a2…, of a plain registry.",
        "",
        "  PART             SIZE  HERE      THE REST FROM  OVER THE WAN",
        "  blobs 1 to 2  8.83 GB  held                     0",
        "  blob 3        4.21 GB  61 %      ch-geneva-r1   1.64 GB",
        "  blobs 4 to 5  5.66 GB  not held  ch-geneva-r1   5.66 GB",
        "",
        "7.3 of 18.7 GB would cross the WAN: about 34 s at 212 MB/s, 0.58 CHF. It fits the store.",
    ]


def test_what_does_not_fit_and_what_is_here() -> None:
    assert list(lines(IMAGE, STATUS, {"quota": 5 * GB}))[-1].endswith(
        "It does not fit the store: 13.7 GB are missing."
    )
    whole = {**IMAGE, "parts": [blob(1, 1)]}
    assert (
        list(lines(whole, STATUS, {"quota": None}))[-1] == "All 1 GB are here; nothing would cross the WAN."
    )


def test_why_it_would_be_refused_and_what_next() -> None:
    image = {"name": f"{R}/a:1", "registry": R, "refused": "ch-geneva-r1: refuses connections"}
    found = {"sentence": f"No parent of {R} answers.", "next": "registry-mesh probe x", "registries": [R]}
    other = {**found, "registries": ["docker.io"], "sentence": "docker.io lets nobody pull."}
    assert list(refused(image, {"findings": [other, found]})) == [
        f"■ {R}/a:1 would be refused: ch-geneva-r1: refuses connections.",
        f"  No parent of {R} answers.",
        "  Next: registry-mesh probe x",
    ]
    assert len(list(refused(image, {"findings": []}))) == 1
