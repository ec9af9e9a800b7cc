"""What is learned beside the looks at a node: over restarts, and of a store that changes under it."""

from __future__ import annotations

from pathlib import Path

from registry_mesh.assembly.watch.lately import quantile
from registry_mesh.assembly.watch.learned import Learned
from registry_mesh.assembly.watch.verified import Verified
from registry_mesh.config.load import load
from registry_mesh.config.parent_places import parent_places
from registry_mesh.ports.marker import FORMAT, KEY, Marker
from registry_mesh.stores.disk.storage import records_below

SITE = """role: site
name: s
store: {disk: {path: /tmp/x}}
registries:
  r.example:
    parents:
    - ["http://p:1", "http://q:1"]
    - ["http://r:1"]
"""


async def test_when_a_parent_answered_last_outlives_the_node(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(SITE)
    records = records_below(tmp_path / "store")
    first, second = (Learned(lambda: load(file).config, str(file), lambda: records) for _ in range(2))
    await first.learn({"r.example"}, places=False)
    await second.learn(set(), places=False)
    assert second.answered == first.answered
    assert set(second.answered) == {"r.example"}
    assert await records.get("answered/s") is not None
    await records.put("answered/s", b"no JSON")
    third = Learned(lambda: load(file).config, str(file), lambda: records)
    await third.learn(set(), places=False)
    assert third.answered == {}


async def test_a_store_that_a_newer_version_wrote_meanwhile(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(SITE)
    records = records_below(tmp_path / "store")
    for written in (FORMAT, FORMAT + 1):
        await records.put(KEY, Marker("site", "s", format=written).encode())
        learned = Learned(lambda: load(file).config, str(file), lambda: records)
        await learned.learn(set(), places=False)
        assert learned.format == written


async def test_where_the_file_names_a_parent(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(SITE)
    learned = Learned(lambda: load(file).config, str(file), lambda: None)
    await learned.learn(set(), places=False)
    assert learned.places == {}
    await learned.learn(set(), places=True)
    assert learned.places["r.example", "http://q:1"] == f"{file}:7"
    assert learned.places["r.example", "http://r:1"] == f"{file}:8"
    file.write_text("role: sit\n")
    assert parent_places(str(file)) == {}


def test_below_which_99_of_100_lie() -> None:
    bounds = (0.1, 0.5, 1.0)
    assert quantile(0.99, bounds, (0, 0, 0, 0)) == 0.0
    assert quantile(0.5, bounds, (100, 0, 0, 0)) == 0.05
    assert quantile(0.99, bounds, (100, 0, 0, 0)) < 0.1
    assert 0.1 < quantile(0.99, bounds, (95, 5, 0, 0)) < 0.5
    assert quantile(0.99, bounds, (0, 0, 0, 7)) == 1.0


async def test_what_verify_found_is_known_to_the_node(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(SITE)
    records = records_below(tmp_path / "store")
    for told in (Verified(1e9, 3, "a: gone"), Verified(1e9 + 60, 0, "")):
        await told.keep(records)
        learned = Learned(lambda: load(file).config, str(file), lambda: records)
        await learned.learn(set(), places=False)
        assert learned.verified == told
    assert Verified.decode(b"no JSON") == Verified.decode(None) == Verified()
