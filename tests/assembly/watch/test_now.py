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
    row.gauge(names.RESIDENT).set(212 << 20)
    for _ in range(20):
        now.look()
        clock[0] += 2.0
        row.counter(names.SENT_BYTES, "blob").add(2000)
        row.counter(names.UPSTREAM_BYTES, "other", "p").add(200)
        row.counter(names.CPU_SECONDS).add(round(0.62 * names.CPU_SECONDS.scale))
        row.histogram(names.REQUEST_SECONDS, "blob").observe(0.02, 50)
        row.histogram(names.FIRST_BYTE, "hit").observe(0.004, 50)
    now.look()
    status = now.status()
    assert status == NowStatus(1000, 3, 100, 1, 2, 25.0, 0.31, 212 << 20, status.first_byte_seconds)
    assert 0.002 < status.first_byte_seconds < 0.01
    for _ in range(6):
        clock[0] += 2.0
        now.look()
    assert now.status() == NowStatus(0, 3, 0, 1, 2, resident_bytes=212 << 20), "what was before is over"
