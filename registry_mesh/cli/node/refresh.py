"""`registry-mesh refresh`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from registry_mesh.cli.node.asked import Told
from registry_mesh.cli.node.of_node import OfNode
from registry_mesh.cli.node.on_images import EPILOG, touch


@click.command(cls=OfNode, epilog=EPILOG)
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("tags", nargs=-1, required=True, metavar="TAG...")
@click.option("--json", "as_json", is_flag=True, help="What the node says, as it is.")
def command(config: Path, tags: tuple[str, ...], as_json: bool) -> None:
    """Have the running site of CONFIG ask its parents now what tags point at, before their time is over.

    TAG is [REGISTRY/]REPOSITORY:TAG. All processes of the site answer what the parents said from then on.

    \b
    Example:
      registry-mesh refresh config/site.yaml atlas/athena:latest
    """
    told = touch(config, "refresh", {"images": tags}, as_json, _say)
    sys.exit(1 if any("error" in each for each in told["images"]) else 0)


def _say(told: Told) -> None:
    for each in told["images"]:
        if "error" in each:
            click.echo(f"{each['name']}: {each['error']}", err=True)
        elif each["was"] == each["now"]:
            click.echo(f"{each['name']} is still {each['now']}")
        else:
            click.echo(f"{each['name']} is {each['now']}" + (f", was {each['was']}" if each["was"] else ""))
