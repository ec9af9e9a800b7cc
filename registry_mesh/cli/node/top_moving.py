"""The lists of `top` that move: blobs on their way in, and bodies on their way to clients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from registry_mesh.cli.node.asked import Told
from registry_mesh.cli.node.marks import LETTERS, Marks
from registry_mesh.cli.node.screens import table
from registry_mesh.findings.words import size, span

SORTS: Final = {"1": ("readers", "rate"), "2": ("time", "rate"), "3": ("size", "name")}
"""By what each list is sorted, and by what after `s`."""
_WIDE: Final = 120
"""Columns of a screen from which on every part of a blob is drawn; below every other one."""
_OTHERS: Final = 82
"""Columns that a line takes beside the name of its repository."""
_PARENT: Final = 14
"""Columns of a parent's name."""
_FULL: Final = 5
"""Ninths of a part that are drawn as all of it."""


def fills(told: Told, marks: Marks, columns: int, *, first_sort: bool) -> Iterator[str]:
    """Blobs on their way in: how much is here, how fast and from where it comes, who waits for it."""
    found = list(told.get("fills", ()))
    found.sort(key=lambda each: -(_readers(each) if first_sort else each["bytes_per_second"]))
    if not found:
        yield "No blob is on its way in."
        return
    rows = [("BLOB", "", "HELD", "", "OF", "RATE", "FROM", "READERS", "LEFT")]
    yield from table([*rows, *(_fill(each, marks, columns) for each in found)], right=(3, 4, 5, 7))
    if told["fills_in_all"] > len(found):
        yield f"and {told['fills_in_all'] - len(found)} more"
    yield "READERS: whole + ranges. A reader that joins a fill costs no byte of the link."


def _fill(told: Told, marks: Marks, columns: int) -> tuple[str, ...]:
    full, empty = ("#", ".") if marks == LETTERS else ("█", "·")
    places, drawn = told["places"], told["parts"][:: 1 if columns >= _WIDE else 2]
    more = f" +{len(places) - 1}" if len(places) > 1 else ""
    room = max(14, columns - _OTHERS) - len(more)
    return (
        _named(places[0] if places else "-", room) + more,
        short(told["digest"]),
        "".join(full if int(each) >= _FULL else empty for each in drawn),
        f"{100 * told['held'] // max(1, told['size'])} %",
        size(told["size"]),
        _rate(told),
        _named(", ".join(told["from"]) or "-", _PARENT),
        f"{told['whole_readers']} + {told['range_readers']}",
        span(told["left_seconds"]) if told["left_seconds"] is not None else "-",
    )


def readers(told: Told, marks: Marks, columns: int, *, first_sort: bool) -> Iterator[str]:
    """Bodies on their way to clients: who reads what, how far, how fast, and how it was had."""
    found = list(told.get("readers", ()))
    found.sort(key=lambda each: -(each["seconds"] if first_sort else each["bytes_per_second"]))
    if not found:
        yield "Nothing is on its way to a client."
        return
    rows = [("CLIENT", "BLOB", "", "SENT", "OF", "RATE", "FOR", "HAD")]
    yield from table([*rows, *(_reader(each, columns) for each in found)], right=(3, 4, 5, 6))
    if told["readers_in_all"] > len(found):
        yield f"and {told['readers_in_all'] - len(found)} more"


def _reader(told: Told, columns: int) -> tuple[str, ...]:
    return (
        _named(told["subject"] or told["client"], 24),
        _named(told["place"], max(14, columns - _OTHERS)),
        short(told["digest"]),
        f"{100 * told['sent'] // max(1, told['size'])} %",
        size(told["size"]),
        _rate(told),
        span(told["seconds"]),
        told["cache"] or "-",
    )


def short(digest: str) -> str:
    """A digest as a person tells it from others: its first twelve digits."""
    return digest.partition(":")[2][:12]


def _rate(told: Told) -> str:
    return f"{size(told['bytes_per_second'])}/s" if told["bytes_per_second"] else "-"


def _readers(told: Told) -> int:
    return int(told["whole_readers"] + told["range_readers"])


def _named(name: str, room: int) -> str:
    """A name in so many columns: its end tells most."""
    return name if len(name) <= room else f"…{name[1 - room :]}"
