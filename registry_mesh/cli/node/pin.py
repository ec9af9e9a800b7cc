"""`registry-mesh pin`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from registry_mesh.cli.node.asked import Told
from registry_mesh.cli.node.of_node import OfNode
from registry_mesh.cli.node.on_images import EPILOG, touch
from registry_mesh.config.scalars import parse_duration
from registry_mesh.findings.words import part_of, size


def _duration(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    try:
        return None if value is None else parse_duration(value)
    except ValueError as fault:
        raise click.BadParameter(str(fault)) from None


@click.command(cls=OfNode, epilog=EPILOG)
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "--for", "seconds", callback=_duration, metavar="TIME", help="Until then, such as 14d; else for good."
)
@click.option("--off", is_flag=True, help="Take pins away.")
@click.option("--json", "as_json", is_flag=True, help="What the node says, as it is.")
def command(config: Path, images: tuple[str, ...], seconds: float | None, off: bool, as_json: bool) -> None:
    """Spare images from eviction in the running site of CONFIG: what their tags point at, also when they move.

    At most half of the quota may be pinned.

    \b
    Example:
      registry-mesh pin config/site.yaml cms/cmssw-el9:CMSSW_15_0_4 --for 14d
    """
    touch(config, "pin", {"images": images, "seconds": seconds, "off": off}, as_json, _say)


def _room(told: Told) -> str:
    most = told.get("pinned_at_most")
    return part_of(told["pinned"], most, "of at most") if most else size(told["pinned"])


def _say(told: Told) -> None:
    names = ", ".join(each["name"] for each in told["images"]) or "Nothing that was pinned"
    if told.get("off"):
        click.echo(f"{names}: not pinned any more.")
        return
    until = told["until"]
    when = "for good" if until is None else f"until {time.strftime('%d %b %Y %H:%M', time.gmtime(until))} UTC"
    click.echo(f"{names}: pinned {when}. Pins hold {_room(told)}.")
    for each in told["images"]:
        if not each["whole"]:
            share = 100 * each["held"] // max(1, each["size"])
            click.echo(f"  {each['name']} is here in part ({share} %).")
            click.echo(f"  To fetch the rest: registry-mesh preload {each['name']}")
