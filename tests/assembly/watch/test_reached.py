"""A cut that is over is over in the status at once, whatever findings say yet."""

from __future__ import annotations

import time

from registry_mesh.assembly.labels import board, layout, parent_label
from registry_mesh.assembly.watch.reached import is_reached
from registry_mesh.assembly.watch.shown import Shown
from registry_mesh.config.load import parse
from registry_mesh.findings.outage import Outage
from registry_mesh.telemetry.instruments import Table
from registry_mesh.upstream.health.breaker import Breaker

HOST, ONE, OTHER = "r.example", "http://one:1", "http://other:2"
CONFIG = parse(
    f"role: site\nstore: {{disk: {{path: /x}}}}\nregistries: {{{HOST}: {{parents: [[{ONE}], [{OTHER}]]}}}}",
    "s.yaml",
).config


def test_the_first_parent_that_answers_ends_it() -> None:
    seen, now = board(CONFIG, 2), time.time()
    shown = Shown(CONFIG, Table(layout(CONFIG), 2), seen, [])
    outages = {HOST: Outage(now - 60, silent=True, answered=now - 60, grace=3600)}
    cards = [seen.card(parent_label(url), 1) for url in (ONE, OTHER)]
    for card in cards:
        Breaker(card=card).failed("refuses connections", hard=True)
    assert not is_reached(CONFIG, seen, HOST) and shown.registries(outages)[HOST].outage is not None
    Breaker(card=cards[1]).succeeded(0.01)
    assert is_reached(CONFIG, seen, HOST) and shown.registries(outages)[HOST].outage is None
    cards[1].cut_off(f"{HOST}=1795516936")
    assert not is_reached(CONFIG, seen, HOST), "it says that it reaches nobody"
    assert not is_reached(CONFIG, seen, "not.served.example")
