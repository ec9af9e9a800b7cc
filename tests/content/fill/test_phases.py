"""The tables of a fill, and the page that is made of them."""

from __future__ import annotations

from pathlib import Path

from registry_mesh.content.fill.phases import MapPhase, Phase
from registry_mesh.content.fill.picture import page

ROOT = Path(__file__).resolve().parents[3]


def test_the_table_names_only_its_own_rows_and_all_are_reached() -> None:
    for machine in (Phase, MapPhase):
        rows = [phase.name for phase in machine]
        again = {"COMING"} if machine is Phase else set()
        assert {name for phase in machine for name in phase.then} == set(rows) - {rows[0]} | again


def test_the_page_about_fills_is_what_the_table_says() -> None:
    assert (ROOT / "docs/fill.md").read_text() == page(), "run `make docs`"
