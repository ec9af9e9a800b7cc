"""Counts of what clients fetched, until they are taken."""

from __future__ import annotations

from registry_mesh.edge.pulled import ANSWER, MOST, OTHERS, Fetched, Pulled, Thing


def test_many_callers_of_many_things_take_no_memory_without_end() -> None:
    """A hit of a caller too many is counted, and of which thing, but not whose."""
    pulled, each = Pulled(), MOST // 2
    fetched = [Fetched(Thing("r.example", "a/b", "blob", f"sha256:{n}"), 7) for n in range(3)]
    for one in fetched:
        for caller in range(each):
            pulled.begin(one, one.parts, str(caller), ANSWER)
    assert [len(one.parts) for one in fetched] == [each, each, 1]
    assert fetched[2].parts == {OTHERS: each * ANSWER}
    assert sum(pull.pulls for pull in pulled.take("2026-11-29", "s")) == 3 * each
    assert pulled.take("2026-11-29", "s") == []
    pulled.begin(fetched[0], fetched[0].whole, "alice", 1)
    assert list(fetched[0].whole) == ["alice"], "room again"
    fetched[0].whole["alice"] += 2
    assert [(pull.pulls, pull.bytes) for pull in pulled.take("2026-11-29", "s")] == [(3, 21)]
