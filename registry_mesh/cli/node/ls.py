"""`registry-mesh ls`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from registry_mesh.cli.node.asked import Told, ask, node_at
from registry_mesh.cli.node.of_node import OfNode
from registry_mesh.cli.node.on_images import WAIT, answered, chosen
from registry_mesh.findings.words import size


@click.command(
    cls=OfNode,
    epilog="Exit codes: 0 listed; 1 nothing is held by that name; 3 no node answers; 4 it wants a login.",
)
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@click.option("--part", is_flag=True, help="Only images that are here in part.")
@click.option("--pinned", is_flag=True, help="Only images that are pinned.")
@click.option("--sort", type=click.Choice(["name", "size"]), default="name", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="What the node says, as it is.")
def command(
    config: Path, patterns: tuple[str, ...], part: bool, pinned: bool, sort: str, as_json: bool
) -> None:
    """List the images that the running node of CONFIG holds: how much of each, and what is pinned.

    An index counts with the platforms that are here. PATTERN is a name, with its registry or without, or a pattern of
    the shell.

    \b
    Examples:
      registry-mesh ls config/site.yaml
      registry-mesh ls config/site.yaml 'atlas/*' --sort size
    """
    told = answered(lambda: ask(node_at(config), "/api/1/images", wait=WAIT))
    images = [
        each
        for each in chosen(told, patterns)
        if not (part and each["whole"]) and (each["pinned"] or not pinned)
    ]
    if sort == "size":
        images.sort(key=lambda each: -each["held"])
    if as_json:
        click.echo(json.dumps({**told, "images": images}, indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(lines(images, told, time.time())))
    sys.exit(0 if images or not patterns else 1)


def lines(images: list[Told], told: Told, now: float) -> Iterator[str]:
    """A table, and what it comes to."""
    rows = [(each["name"], _held(each), size(each["size"]), _pinned(each, now)) for each in images]
    width = max([5, *(len(row[0]) for row in rows)])
    if rows:
        yield f"{'IMAGE':{width}}  {'HELD':>6}  {'SIZE':>9}"
    for name, held, whole, pinned in rows:
        yield f"{name:{width}}  {held:>6}  {whole:>9}  {pinned}".rstrip()
    here = sum(each["held"] for each in images)
    yield (
        f"{len(images)} of {len(told['images'])} images; {size(here)} of them here. "
        f"All take {size(told['on_disk'])}, as layers are shared"
        + (f"; the store {size(told['used'])}" if told["used"] is not None else "")
        + (f" of {size(told['quota'])}." if told["quota"] else ".")
    )


def _held(image: Told) -> str:
    return "whole" if image["whole"] else f"{100 * image['held'] // max(1, image['size'])} %"


def _pinned(image: Told, now: float) -> str:
    if not image["pinned"]:
        return ""
    until = image["pinned_until"]
    if until is None:
        return "pinned"
    left = max(0.0, until - now)
    return f"pinned, {left / 86400:.0f} d" if left >= 86400 else f"pinned, {left / 3600:.1f} h"
