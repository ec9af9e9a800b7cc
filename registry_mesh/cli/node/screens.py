"""What screens have in common: tables, marks of parents, the next step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from registry_mesh.cli.node.asked import Told

STATES: Final = {
    "in_use": "well",
    "standing_by": "well",
    "left_out": "warn",
    "waiting": "warn",
    "silent": "warn",
}
"""The mark of what a parent is to its registry."""


_OF_OLDER: Final = {"up": "in_use", "unasked": "standing_by", "throttled": "waiting"}


def use_of(parent: Told) -> str:
    """What it is to its registry; nodes of an older version say only its state."""
    return str(parent.get("use") or _OF_OLDER.get(parent["state"], "silent"))


def mark_of(parent: Told) -> str:
    """The name of its mark."""
    return STATES[use_of(parent)]


def name_of(parent: Told) -> str:
    """What a parent is called."""
    return str(parent["url"].partition("://")[2])


def next_step(step: str) -> str:
    """`Next: …`, or `Nothing to do: …`."""
    head, colon, rest = step.partition(":")
    if head.strip() == "nothing":
        return f"Nothing to do{colon}{rest}" if colon else "Nothing to do."
    return f"Next: {step}"


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> Iterator[str]:
    """Rows below each other, two spaces between columns; those of `right` end at one edge, the last has no width."""
    last = len(rows[0]) - 1
    widths = [max(len(row[i]) for row in rows) for i in range(last)]
    for row in rows:
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=False))
        ]
        yield "  ".join([*cells, row[last]]).rstrip()
