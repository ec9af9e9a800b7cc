"""`registry-mesh ls`."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click

from registry_mesh.cli.node.asked import Told, ask, node_at
from registry_mesh.cli.node.of_node import OfNode
from registry_mesh.cli.node.on_images import WAIT, answered, chosen, nothing_called
from registry_mesh.config.scalars import parse_duration
from registry_mesh.findings.words import day, quota_size, size, span

NOW: Final = 120.0
"""Seconds since its last use within which an image is used now: uses are noted once a minute."""
LONG: Final = 90 * 86400.0
"""Seconds without a use after which images are summed up below the list."""
_HEADS: Final = ("IMAGE", "HELD", "SIZE", "LAST USE", "PULLS 7D", "ALSO AS", "")
_RIGHT: Final = (1, 2, 3, 4)
_NAME: Final = 24
"""Columns that a name keeps where room is short."""


def _span(_: click.Context, __: click.Parameter, text: str | None) -> float | None:
    try:
        return parse_duration(text) if text is not None else None
    except ValueError:
        raise click.BadParameter(f"{text} is no duration, such as 90d or 12h") from None


@click.command(
    cls=OfNode,
    epilog="Exit codes: 0 listed; 1 nothing is held by that name; 2 the configuration is wrong; 3 no node answers; "
    "4 it wants a login.",
)
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@click.option("--part", is_flag=True, help="Only images that are here in part.")
@click.option("--pinned", is_flag=True, help="Only images that are pinned.")
@click.option("--unused", metavar="DURATION", callback=_span, help="Only images not used for so long (90d).")
@click.option(
    "--sort",
    type=click.Choice(["name", "size", "use", "pulls"]),
    default="name",
    show_default=True,
    metavar="BY",
    help="name, size, use or pulls: most first.",
)
@click.option("--json", "as_json", is_flag=True, help="What the node says, as it is.")
def command(
    config: Path,
    patterns: tuple[str, ...],
    part: bool,
    pinned: bool,
    unused: float | None,
    sort: str,
    as_json: bool,
) -> None:
    """List the images that the running node of CONFIG holds.

    An index counts with the platforms that are here. PATTERN is a name, with its registry or without, or a pattern of
    the shell. An image is used when a client reads it, and when it comes in. ALSO AS are variants (estargz, sif) that
    refer to it; a site learns of them when a client asks for what refers to it.

    \b
    Examples:
      registry-mesh ls config/site.yaml
      registry-mesh ls config/site.yaml 'atlas/*' --unused 90d --sort size
    """
    told = answered(lambda: ask(node_at(config), "/api/1/images", wait=WAIT))
    now = time.time()
    images = [
        each
        for each in chosen(told, patterns)
        if not (part and each["whole"])
        and (each["pinned"] or not pinned)
        and (unused is None or is_unused(each, told, now - unused))
    ]
    images.sort(key=lambda each: _order(each, sort))
    if as_json:
        click.echo(json.dumps({**told, "images": images}, indent=2, ensure_ascii=False))
    else:
        columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        click.echo("\n".join(lines(images, told, now, columns)))
    if unused is not None:
        _note_how_far_back(told, now - unused)
    if patterns and not chosen(told, patterns):
        click.echo(nothing_called(told, patterns[0]), err=True)
    sys.exit(0 if images or not patterns else 1)


def _note_how_far_back(told: Told, wanted: float) -> None:
    """Say so where uses are not noted since `wanted`."""
    began = told.get("uses_since")
    if began is None or began > wanted:
        since = f"since {day(began)} only" if began is not None else "by no version of this node yet"
        click.echo(f"note: uses are noted {since}: what was used before is not known", err=True)


def is_unused(image: Told, told: Told, before: float) -> bool:
    """Whether it was last used before `before`; not where that is not known."""
    last, began = image.get("last_use"), told.get("uses_since")
    if last is None:
        return began is not None and began <= before
    return bool(last < before)


def _order(image: Told, by: str) -> Any:  # Any: what sorts
    if by == "size":
        return -image["held"]
    if by == "use":
        return -(image.get("last_use") or 0.0)
    return -(image.get("pulls_7d") or 0) if by == "pulls" else 0


def lines(images: Sequence[Told], told: Told, now: float, columns: int | None = None) -> Iterator[str]:
    """A table of at most `columns`, and what it comes to. Where room is short columns go from the right, and names are
    cut in the middle."""
    if images:
        yield from _table([_HEADS, *(_row(each, told, now) for each in images)], columns)
    here = sum(each["held"] for each in images)
    yield (
        f"{len(images)} of {len(told['images'])} images; {size(here)} of them here. "
        f"All take {size(told['on_disk'])}, as layers are shared"
        + (f"; the store {size(told['used'])}" if told["used"] is not None else "")
        + (f" of {quota_size(told['quota'])}." if told["quota"] else ".")
    )
    old = [each for each in told["images"] if is_unused(each, told, now - LONG)]
    if old:
        yield f"Unused for {span(LONG)}: {len(old)}, {size(sum(each['held'] for each in old))}."


def _table(rows: Sequence[Sequence[str]], columns: int | None) -> Iterator[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADS))]
    shown = len(_HEADS)
    if columns is not None:
        name = min(widths[0], _NAME)
        while shown > 2 and name + sum(2 + width for width in widths[1:shown] if width) > columns:
            shown -= 1
        rest = sum(2 + width for width in widths[1:shown] if width)
        widths[0] = min(widths[0], max(name, columns - rest))
    for row in rows:
        cells = [shortened(row[0], widths[0]).ljust(widths[0])]
        cells += [row[i].rjust(widths[i]) if i in _RIGHT else row[i] for i in range(1, shown)]
        yield "  ".join(cells).rstrip()


def shortened(name: str, width: int) -> str:
    """A name in at most `width` columns, cut in the middle: its tag stays as far as there is room."""
    if len(name) <= width:
        return name
    tail = len(name.rpartition("/")[2])
    end = min(tail, width - 5) if tail < width - 1 else width * 2 // 3
    return f"{name[: width - end - 1]}…{name[len(name) - end :]}"


def _row(image: Told, told: Told, now: float) -> tuple[str, ...]:
    return (
        image["name"],
        _held(image),
        size(image["size"]),
        last_use(image, told, now),
        _pulls(image),
        ", ".join(map(_form, image.get("forms", ()))),
        _pinned(image, now),
    )


def last_use(image: Told, told: Told, now: float) -> str:
    """`now`, or how long ago; `> 3 d` where it was not used since uses are noted, `-` where nothing is known."""
    last, began = image.get("last_use"), told.get("uses_since")
    if last is not None:
        return "now" if now - last < NOW else span(now - last)
    return f"> {span(now - began)}" if began is not None else "-"


def _pulls(image: Told) -> str:
    pulls = image.get("pulls_7d")
    return "-" if pulls is None else f"{pulls:,}"


def _held(image: Told) -> str:
    if image["whole"]:
        return "whole"
    coming = ", coming" if image.get("coming") else ""
    return f"{100 * image['held'] // max(1, image['size'])} %{coming}"


def _form(form: Told) -> str:
    """Another form of the image, and how much of it is here where that is not all."""
    return form["kind"] if form["whole"] else f"{form['kind']} {100 * form['held'] // max(1, form['size'])} %"


def _pinned(image: Told, now: float) -> str:
    if not image["pinned"]:
        return ""
    until = image["pinned_until"]
    if until is None:
        return "pinned"
    left = max(0.0, until - now)
    return f"pinned, {left / 86400:.0f} d" if left >= 86400 else f"pinned, {left / 3600:.1f} h"
