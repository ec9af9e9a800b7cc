"""What moves at a node: told by each process that serves, in pages that all share, and added up by the keeper."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any, Final

from registry_mesh.ports.moving import MovingBody, MovingFill
from registry_mesh.telemetry.note import Note

FILLS: Final = 100
BODIES: Final = 200
"""That a process tells of one by one, those that are read by most and those that take longest: 400 kB at most."""
STALE: Final = 5.0
"""Seconds after which a process that tells nothing new has ended."""

Told = dict[str, Any]  # Any: JSON


class MovingTold:
    """Of one process. `note` is its own."""

    def __init__(self, note: Note, clock: Callable[[], float] = time.monotonic) -> None:
        self._note = note
        self._clock = clock
        self._before: dict[str, int] = {}
        """Bytes that fills had brought."""
        self._at = 0.0
        self._quiet = False

    def tell(self, fills: Sequence[MovingFill], bodies: Sequence[MovingBody], sending: int) -> None:
        """Say what moves now: `bodies` are the longest of those that it is `sending`, `BODIES` at most. Where nothing
        moves that is said once."""
        quiet = not fills and not bodies
        if quiet and self._quiet:
            return
        self._quiet = quiet
        now = self._clock()
        shown = sorted(fills, key=lambda each: -each.whole_readers - each.range_readers)[:FILLS]
        told = {
            "at": now,
            "fills": [asdict(each) | {"rate": self._rate(each, now)} for each in shown],
            "bodies": [asdict(each) for each in bodies],
            "count": [len(fills), sending],
        }
        self._before, self._at = {each.digest: each.fetched for each in fills}, now
        self._note.write(json.dumps(told))

    def _rate(self, fill: MovingFill, now: float) -> float:
        """Bytes a second since it was last told of."""
        before = self._before.get(fill.digest)
        return max(0, fill.fetched - before) / max(0.001, now - self._at) if before is not None else 0.0


def moving(notes: Iterable[Note], clock: Callable[[], float] = time.monotonic) -> Told:
    """What all processes tell: one line a blob, however many of them bring it; what most read, and what has taken
    longest, first."""
    rows = [row for row in map(_row, notes) if clock() - row["at"] < STALE]
    fills: dict[str, Told] = {}
    for each in (fill for row in rows for fill in row["fills"]):
        known = fills.get(each["digest"])
        fills[each["digest"]] = _fill(each) if known is None else _together(known, _fill(each))
    bodies = [_body(body) for row in rows for body in row["bodies"]]
    return {
        "fills": sorted(fills.values(), key=lambda each: -each["whole_readers"] - each["range_readers"]),
        "readers": sorted(bodies, key=lambda each: -each["seconds"]),
        "fills_in_all": max(len(fills), max((row["count"][0] for row in rows), default=0)),
        "readers_in_all": sum(row["count"][1] for row in rows),
    }


def coming(notes: Iterable[Note], clock: Callable[[], float] = time.monotonic) -> frozenset[str]:
    """The digests of the blobs on their way in."""
    return frozenset(each["digest"] for each in moving(notes, clock)["fills"])


def _row(note: Note) -> Told:
    nothing: Told = {"at": float("-inf"), "fills": [], "bodies": [], "count": [0, 0]}
    try:
        told: Told = json.loads(note.read() or "{}")
    except ValueError:
        return nothing
    return nothing | told


def _fill(told: Told) -> Told:
    left = told["size"] - told["held"]
    rate = round(told["rate"])
    return {
        "places": told["places"],
        "digest": told["digest"],
        "size": told["size"],
        "held": told["held"],
        "parts": told["parts"],
        "bytes_per_second": rate,
        "left_seconds": round(left / rate, 1) if rate and told["whole_readers"] else None,
        "from": told["sources"],
        "whole_readers": told["whole_readers"],
        "range_readers": told["range_readers"],
    }


def _together(one: Told, other: Told) -> Told:
    """Of one blob, which two processes bring."""
    further = one if one["held"] >= other["held"] else other
    rate = one["bytes_per_second"] + other["bytes_per_second"]
    readers = {key: one[key] + other[key] for key in ("whole_readers", "range_readers")}
    left = further["size"] - further["held"]
    return {
        **further,
        **readers,
        "places": sorted({*one["places"], *other["places"]}),
        "from": list(dict.fromkeys([*one["from"], *other["from"]])),
        "bytes_per_second": rate,
        "left_seconds": round(left / rate, 1) if rate and readers["whole_readers"] else None,
    }


def _body(told: Told) -> Told:
    seconds = told["seconds"]
    return told | {"bytes_per_second": round(told["sent"] / seconds) if seconds else 0}
