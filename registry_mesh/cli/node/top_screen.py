"""What `top` shows: lines made from what a node says, without a terminal and without a clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from registry_mesh.cli.node.asked import Told
from registry_mesh.cli.node.marks import LETTERS, Marks
from registry_mesh.cli.node.parents import lines as parent_lines
from registry_mesh.cli.node.screens import table
from registry_mesh.cli.node.status import long_span, moment_of_day
from registry_mesh.cli.node.top_moving import SORTS, fills, readers
from registry_mesh.findings.words import size, span

_BARS: Final = "▁▂▃▄▅▆▇█"
_PLAIN_BARS: Final = "_.-=+*#@"
HELP: Final = (
    "q leave   1 fills   2 readers   3 images   4 parents   d findings   s sort   space stand still   ? this help",
    "served: bytes of bodies sent to clients.  wan: bytes that came from parents.",
    "joined: requests that follow a fill of another; they cost no byte of the link.",
    "fills: READERS are whole + ranges; LEFT is the time until the last byte, where somebody reads all of it.",
    "readers: bodies on their way to clients; HAD is how they were had: hit, joined, miss or stale.",
)
_KEYS: Final = "q leave  s sort  space stand still  d doctor  ? help"
_LISTS: Final = (("1", "Fills"), ("2", "Readers"), ("3", "Images"), ("4", "Parents"))
_MOVING: Final = {"1": fills, "2": readers}
_PAST: Final = 30
"""Seconds that a line of bars goes back."""


@dataclass(slots=True)
class View:
    """What is looked at, and how things moved."""

    shown: str = "1"
    first_sort: bool = True
    """Of the two ways that a list is sorted."""
    still: bool = False
    sent: list[float] = field(default_factory=list)
    received: list[float] = field(default_factory=list)

    def note(self, status: Told) -> None:
        """Add a second."""
        now = status["now"]
        for past, key in ((self.sent, "sent_bytes_per_second"), (self.received, "upstream_bytes_per_second")):
            past.append(now[key])
            del past[:-_PAST]

    def press(self, key: str) -> bool:
        """Do what a key means; False where it means to leave."""
        if key == "q":
            return False
        if key in "1234d?":
            self.shown = key
        elif key == "s":
            self.first_sort = not self.first_sort
        elif key == " ":
            self.still = not self.still
        return True


@dataclass(frozen=True, slots=True)
class Lists:
    """What the node says; `moving` and `images` are empty until they are looked at."""

    status: Told
    moving: Told = field(default_factory=dict)
    images: Sequence[Told] = ()


def screen(view: View, lists: Lists, now: float, room: tuple[int, int], marks: Marks) -> list[str]:
    """At most as many lines, of at most as many columns, as there is room for."""
    columns, rows = room
    head = [*_head(view, lists.status, now, marks), marks_line(columns, marks), _names(view, columns)]
    body = [*head, *_body(view, lists, now, columns, marks)]
    body = [*body[: rows - 1], *[""] * max(0, rows - 1 - len(body)), _KEYS]
    cut = "~" if marks == LETTERS else "…"
    return [line[:columns].rstrip().replace("…", cut) for line in body]


def _names(view: View, columns: int) -> str:
    """The lists there are, and how the one that is shown is sorted."""
    names = "  ".join(f"{key} {name}" for key, name in _LISTS)
    sorts = SORTS.get(view.shown)
    said = f"sorted by {sorts[not view.first_sort]}" if sorts else ""
    return names + said.rjust(max(0, columns - len(names)))


def marks_line(columns: int, marks: Marks) -> str:
    """What parts the figures from the list."""
    return ("-" if marks == LETTERS else "─") * columns


def _head(view: View, status: Told, now: float, marks: Marks) -> Iterator[str]:
    node = f"{status['name']}  {status['role']} {status['version']}  up {long_span(status['uptime_seconds'])}"
    yield f"{node}  {len(status['workers'])} workers  {moment_of_day(now)}"
    moving, day = status["now"], status["last_day"]
    served = size(moving["sent_bytes_per_second"]), size(moving["upstream_bytes_per_second"])
    yield f"served  {bars(view.sent, marks)} {served[0]}/s   {moving['readers']} readers"
    yield (
        f"wan     {bars(view.received, marks)} {served[1]}/s   {moving['fills']} fills   "
        f"{moving['fill_readers']} joined"
    )
    store = status["store"]
    used, quota = store["used_bytes"] or 0, store["quota_bytes"]
    of = f" of {size(quota)}" if quota else ""
    saved = f"   24 h: {size(day['saved_bytes'])} saved" if day else ""
    yield f"store   {filled(used, quota, marks)} {size(used)}{of}{saved}"
    found = [f"{marks[each['state']]} {each['name']}: {each['sentence']}" for each in status["findings"][:2]]
    yield from found or [f"{marks['well']} {status['verdict']}"]


def bars(past: Sequence[float], marks: Marks) -> str:
    """A bar a second, the last one at the right."""
    steps = _PLAIN_BARS if marks == LETTERS else _BARS
    most = max(past, default=0.0) or 1.0
    drawn = "".join(steps[min(len(steps) - 1, int(each / most * (len(steps) - 1)))] for each in past)
    return drawn.rjust(_PAST, steps[0])


def filled(used: int, quota: int | None, marks: Marks) -> str:
    """How full the store is."""
    full, empty = ("#", ".") if marks == LETTERS else ("█", "·")
    share = min(_PAST, round(_PAST * used / quota)) if quota else 0
    return full * share + empty * (_PAST - share)


def _body(view: View, lists: Lists, now: float, columns: int, marks: Marks) -> Iterator[str]:
    if view.shown == "?":
        yield from HELP
    elif view.shown == "d":
        yield from _findings(lists.status["findings"], now, marks)
    elif view.shown in _MOVING:
        yield from _MOVING[view.shown](lists.moving, marks, columns, first_sort=view.first_sort)
    elif view.shown == "3":
        yield from _images(view, lists.images)
    else:
        yield from parent_lines(lists.status["registries"], now, marks, lists.status.get("siblings", ()))


def _findings(found: Sequence[Told], now: float, marks: Marks) -> Iterator[str]:
    for each in found:
        yield f"{marks[each['state']]} {each['sentence']}  {each['name']}"
        yield f"    for {span(now - each['since'])}. {each['next']}"
    if not found:
        yield f"{marks['well']} Nothing needs you."


def _images(view: View, images: Sequence[Told]) -> Iterator[str]:
    rows = sorted(images, key=lambda each: (-each["held"] if view.first_sort else 0, each["name"]))
    yield from table(
        [
            ("HELD", "OF", "", "IMAGE"),
            *(
                (
                    size(each["held"]),
                    size(each["size"]),
                    "whole" if each["whole"] else f"{100 * each['held'] // max(1, each['size'])} %",
                    each["name"] + ("  pinned" if each["pinned"] else ""),
                )
                for each in rows
            ),
        ],
        right=(0, 1, 2),
    )
