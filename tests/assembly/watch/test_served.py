"""Bytes that clients were sent, by where they came from: nothing is lost, and nothing counted twice."""

from __future__ import annotations

from registry_mesh.assembly.watch.served import Served
from registry_mesh.telemetry import names
from registry_mesh.telemetry.instruments import Layout, Table

R = "r.example"
VALUES = {"registry": [R, "s.example"], "parent": ["p"], "sibling": ["b"]}


def told(table: Table) -> dict[tuple[str, ...], int]:
    return {each.labels: int(each.value) for each in table.read(names.SERVED_BYTES) if each.value}


def test_what_was_brought_is_shared_out_as_it_was_received() -> None:
    table = Table(Layout(values=VALUES), 2)
    worker, served = table.row(0), Served(table, table.row(1))
    for kind, size in (("hit", 70), ("stale", 5), ("miss", 300), ("joined", 100)):
        worker.counter(names.CACHE_BYTES, R, "blob", kind).add(size)
    worker.counter(names.SIBLING_BYTES, R, "b").add(100)
    worker.counter(names.UPSTREAM_BYTES, R, "p").add(300)
    worker.counter(names.CACHE_BYTES, "s.example", "blob", "miss").add(9)
    served.look()
    first = {(R, "store"): 75, (R, "sibling"): 100, (R, "parent"): 300, ("s.example", "parent"): 9}
    assert told(table) == first
    served.look()
    assert told(table) == first, "nothing new"
    worker.counter(names.CACHE_BYTES, R, "blob", "miss").add(50)
    worker.counter(names.UPSTREAM_BYTES, R, "p").add(50)
    served.look()
    assert told(table) == first | {(R, "parent"): 350}


def test_a_new_configuration_counts_nothing_twice() -> None:
    old = Table(Layout(values=VALUES), 1)
    old.row(0).counter(names.CACHE_BYTES, R, "blob", "hit").add(5)
    Served(old, old.row(0)).look()
    new = Table(Layout(values=VALUES), 1, [old])
    Served(new, new.row(0)).look()
    assert told(new) == {(R, "store"): 5}
    new.row(0).counter(names.CACHE_BYTES, R, "blob", "hit").add(2)
    Served(new, new.row(0)).look()
    assert told(new) == {(R, "store"): 7}


def test_an_origin_has_all_in_its_store() -> None:
    table = Table(Layout(values=VALUES), 1)
    for endpoint, size in (("blob", 70), ("manifest", 5), ("tags", 1)):
        table.row(0).counter(names.SENT_BYTES, endpoint).add(size)
    Served(table, table.row(0), R).look()
    assert told(table) == {(R, "store"): 75}
