"""Registries that clients miss: who asked lately, however many names they make up."""

from __future__ import annotations

from registry_mesh.assembly.watch.unserved import CLIENTS, HOUR, REGISTRIES, Unserved
from registry_mesh.findings.facts import UnservedFacts


def test_nodes_count_once_and_for_an_hour() -> None:
    unserved = Unserved()
    for at, client in ((0.0, "a"), (10.0, "b"), (20.0, "a")):
        unserved.note("ghcr.io", client, at)
    assert unserved.facts(20.0) == (UnservedFacts("ghcr.io", 2, 3, 0.0),)
    assert unserved.facts(10.0 + HOUR) == (UnservedFacts("ghcr.io", 1, 3, 0.0),)
    assert unserved.facts(20.0 + HOUR) == ()
    unserved.note("ghcr.io", "a", 9000.0)
    assert unserved.facts(9000.0) == (UnservedFacts("ghcr.io", 1, 1, 9000.0),)


def test_names_and_clients_are_bounded() -> None:
    unserved = Unserved()
    for i in range(2 * REGISTRIES):
        unserved.note(f"r{i}", "a", float(i))
    for i in range(2 * CLIENTS):
        unserved.note("last", f"c{i}", 200.0)
    facts = unserved.facts(200.0)
    assert len(facts) == REGISTRIES
    assert facts[-1] == UnservedFacts("last", CLIENTS, 2 * CLIENTS, 200.0)
