"""What `top` shows: lines made from what a node says, without a terminal and without a clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from registry_mesh.cli.node.asked import Told
from registry_mesh.cli.node.marks import LETTERS, Marks
from registry_mesh.cli.node.parents import lines as parent_lines
from registry_mesh.cli.node.screens import name_of, table
from registry_mesh.cli.node.top_head import head
from registry_mesh.cli.node.top_moving import SORTS, fills, readers
from registry_mesh.cli.node.top_view import HELP, View
from registry_mesh.findings.words import size, span

_LISTS: Final = (("1", "Fills"), ("2", "Readers"), ("3", "Images"), ("4", "Parents"))
_MOVING: Final = {"1": fills, "2": readers}


@dataclass(frozen=True, slots=True)
class Lists:
    """What the node says; `moving` and `images` are empty until they are looked at."""

    status: Told
    moving: Told = field(default_factory=dict)
    images: Sequence[Told] = ()


def screen(view: View, lists: Lists, now: float, room: tuple[int, int], marks: Marks) -> list[str]:
    """At most as many lines, of at most as many columns, as there is room for."""
    columns, rows = room
    above = [
        *head(view, lists.status, now, columns, marks),
        marks_line(columns, marks),
        _names(view, columns),
    ]
    body = [*above, *_body(view, lists, now, columns, marks)]
    body = [*body[: rows - 1], *[""] * max(0, rows - 1 - len(body)), view.foot]
    cut = "~" if marks == LETTERS else "…"
    return [line[:columns].rstrip().replace("…", cut) for line in body]


def _names(view: View, columns: int) -> str:
    """The lists there are, and how the one that is shown is sorted."""
    names = "  ".join(f"{key} {name}" for key, name in _LISTS)
    sorts = SORTS.get(view.shown)
    told = [f"with {view.wanted}"] if view.wanted else []
    told += [f"sorted by {sorts[not view.first_sort]}"] if sorts else []
    said = ", ".join(told)
    return names + said.rjust(max(0, columns - len(names)))


def marks_line(columns: int, marks: Marks) -> str:
    """What parts the figures from the list."""
    return ("-" if marks == LETTERS else "─") * columns


def _body(view: View, lists: Lists, now: float, columns: int, marks: Marks) -> Iterator[str]:
    if view.shown == "?":
        yield from HELP
    elif view.shown == "d":
        yield from _findings(lists.status["findings"], now, marks)
    else:
        yield from _list(view, _chosen(view, lists), now, columns, marks)


def _list(view: View, lists: Lists, now: float, columns: int, marks: Marks) -> Iterator[str]:
    if view.wanted and not _listed(view, lists):
        yield f"Nothing here has {view.wanted} in its name."
    elif view.shown in _MOVING:
        yield from _MOVING[view.shown](lists.moving, marks, columns, first_sort=view.first_sort)
    elif view.shown == "3":
        yield from _images(view, lists.images)
    else:
        yield from parent_lines(lists.status["registries"], now, marks, lists.status.get("siblings", ()))


def _listed(view: View, lists: Lists) -> Sequence[object]:
    """What there is to list."""
    if view.shown == "3":
        return lists.images
    if view.shown == "4":
        return [*lists.status["registries"], *lists.status.get("siblings", ())]
    return list(lists.moving.get("fills" if view.shown == "1" else "readers", ()))


def _chosen(view: View, lists: Lists) -> Lists:
    """What is wanted of all lists."""
    if not view.wanted:
        return lists
    moving = _moving(view, lists.moving) if lists.moving else {}
    images = [each for each in lists.images if view.wants(each["name"])]
    return Lists(_status(view, lists.status), moving, images)


def _moving(view: View, told: Told) -> Told:
    coming = [
        each for each in told.get("fills", ()) if view.wants(*each["places"], each["digest"], *each["from"])
    ]
    leaving = [
        each
        for each in told.get("readers", ())
        if view.wants(each["place"], each["digest"], each["client"], each["subject"])
    ]
    counts = {"fills_in_all": len(coming), "readers_in_all": len(leaving)}
    return {**told, "fills": coming, "readers": leaving, **counts}


def _status(view: View, status: Told) -> Told:
    """All parents of a registry whose name is wanted; of others those that are."""
    registries = {}
    for host, told in status["registries"].items():
        groups = [
            [each for each in group if view.wants(host, name_of(each), each["url"])]
            for group in told["parents"]
        ]
        if any(groups):
            registries[host] = {**told, "parents": groups}
    siblings = [each for each in status.get("siblings", ()) if view.wants(name_of(each), each["url"])]
    return {**status, "registries": registries, "siblings": siblings}


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
