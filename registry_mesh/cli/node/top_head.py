"""The figures above the lists of `top`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from registry_mesh.cli.node.asked import Told
from registry_mesh.cli.node.marks import LETTERS, Marks
from registry_mesh.cli.node.status import long_span, moment_of_day
from registry_mesh.cli.node.top_view import PAST, View
from registry_mesh.findings.words import quota_size, size

_BARS: Final = "▁▂▃▄▅▆▇█"
_PLAIN_BARS: Final = "_.-=+*#@"


def head(view: View, status: Told, now: float, columns: int, marks: Marks) -> Iterator[str]:
    """At most six lines."""
    moving = status["now"]
    yield _node(status, now, columns)
    served = f"{size(moving['sent_bytes_per_second'])}/s   {moving['readers']} readers"
    yield f"served  {bars(view.sent, marks)} {served}{_asked(moving)}"
    yield (
        f"wan     {bars(view.received, marks)} {size(moving['upstream_bytes_per_second'])}/s   "
        f"{moving['fills']} fills   {moving['fill_readers']} joined"
    )
    yield _store(status, marks)
    found = [f"{marks[each['state']]} {each['name']}: {each['sentence']}" for each in status["findings"][:2]]
    yield from found or [f"{marks['well']} {status['verdict']}"]


def _node(status: Told, now: float, columns: int) -> str:
    """The node and its processes at the left, the time at the right."""
    told = f"{status['name']}  {status['role']} {status['version']}  up {long_span(status['uptime_seconds'])}"
    told += f"  {len(status['workers'])} workers"
    moving = status["now"]
    if moving.get("resident_bytes"):  # nodes of older versions do not say
        told += f" {moving['cpu']:.0%}  RSS {size(moving['resident_bytes'])}".replace("%", " %")
    moment = moment_of_day(now)
    room = columns - len(told) - len(moment)
    return told + (" " * room + moment if room >= 2 else f"  {moment}")


def _asked(moving: Told) -> str:
    """How often it is asked, and how soon it answers what it holds."""
    told = f"   {moving['requests_per_second']:.0f} req/s" if "requests_per_second" in moving else ""
    if first := moving.get("first_byte_seconds"):
        told += f"   first byte p99 {first * 1000:.0f} ms" if first >= 0.001 else "   first byte p99 < 1 ms"
    return told


def _store(status: Told, marks: Marks) -> str:
    store, day = status["store"], status["last_day"]
    used, quota = store["used_bytes"] or 0, store["quota_bytes"]
    of = f" of {quota_size(quota)}" if quota else ""
    saved = f"   24 h: {size(day['saved_bytes'])} saved" if day else ""
    return f"store   {filled(used, quota, marks)} {size(used)}{of}{saved}"


def bars(past: Sequence[float], marks: Marks) -> str:
    """A bar a second, the last one at the right."""
    steps = _PLAIN_BARS if marks == LETTERS else _BARS
    most = max(past, default=0.0) or 1.0
    drawn = "".join(steps[min(len(steps) - 1, int(each / most * (len(steps) - 1)))] for each in past)
    return drawn.rjust(PAST, steps[0])


def filled(used: int, quota: int | None, marks: Marks) -> str:
    """How full the store is."""
    full, empty = ("#", ".") if marks == LETTERS else ("█", "·")
    share = min(PAST, round(PAST * used / quota)) if quota else 0
    return full * share + empty * (PAST - share)
