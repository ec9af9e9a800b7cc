"""Rates of the last ten seconds."""

from __future__ import annotations

from registry_mesh.admin.status import NowStatus
from registry_mesh.assembly.watch.now import Now
from registry_mesh.telemetry import names
from registry_mesh.telemetry.instruments import Layout, Table


def test_a_rate_is_of_the_last_seconds() -> None:
    table, clock = Table(Layout(values={"parent": ["p"]}), 2), [100.0]
    row, now = table.row(1), Now(table, lambda: clock[0])
    assert now.status() == NowStatus(0, 0, 0, 0, 0)
    row.gauge(names.REQUESTS_RUNNING).set(3)
    row.gauge(names.FILLS).set(1)
    row.gauge(names.FILL_READERS).set(2)
    for _ in range(20):
        now.look()
        clock[0] += 2.0
        row.counter(names.SENT_BYTES, "blob").add(2000)
        row.counter(names.UPSTREAM_BYTES, "other", "p").add(200)
    now.look()
    assert now.status() == NowStatus(1000, 3, 100, 1, 2)
    for _ in range(6):
        clock[0] += 2.0
        now.look()
    assert now.status() == NowStatus(0, 3, 0, 1, 2), "what was before is over"
