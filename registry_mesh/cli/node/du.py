"""`registry-mesh du`."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import click

from registry_mesh.cli.node.asked import Told, ask, node_at
from registry_mesh.cli.node.of_node import OfNode
from registry_mesh.cli.node.on_images import EPILOG, WAIT, answered, chosen, nothing_called
from registry_mesh.findings.words import size


@click.command(cls=OfNode, epilog=EPILOG)
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@click.option("--json", "as_json", is_flag=True, help="The same for programs; bytes.")
def command(config: Path, patterns: tuple[str, ...], as_json: bool) -> None:
    """Say how much each repository takes in the running node of CONFIG, the largest first.

    HELD counts what images share once for each of them; ALONE is what no other image has, and what evicting one by one
    would free at least.

    \b
    Example:
      registry-mesh du config/site.yaml
    """
    told = answered(lambda: ask(node_at(config), "/api/1/images", wait=WAIT))
    images = chosen(told, patterns)
    rows = repositories(images)
    if as_json:
        keys = ("repository", "images", "held", "alone")
        found = [dict(zip(keys, row, strict=True)) for row in rows]
        click.echo(json.dumps({"repositories": found, "on_disk": told["on_disk"]}, indent=2))
    else:
        click.echo("\n".join(lines(rows, told)))
    if patterns and not images:
        click.echo(nothing_called(told, patterns[0]), err=True)
        sys.exit(1)


def repositories(images: list[Told]) -> list[tuple[str, int, int, int]]:
    """Name, images, bytes held, bytes that nothing else has."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for each in images:
        row = sums[f"{each['registry']}/{each['repository']}"]
        row[0] += 1
        row[1] += each["held"]
        row[2] += each["alone"]
    rows = [(name, row[0], row[1], row[2]) for name, row in sums.items()]
    return sorted(rows, key=lambda row: (-row[2], row[0]))


def lines(rows: list[tuple[str, int, int, int]], told: Told) -> Iterator[str]:
    """A table, and what it comes to."""
    width = max([10, *(len(row[0]) for row in rows)])
    if rows:
        yield f"{'REPOSITORY':{width}}  {'IMAGES':>6}  {'HELD':>9}  {'ALONE':>9}"
    for name, images, held, alone in rows:
        yield f"{name:{width}}  {images:>6}  {size(held):>9}  {size(alone):>9}"
    yield f"All images take {size(told['on_disk'])}, as layers are shared."
