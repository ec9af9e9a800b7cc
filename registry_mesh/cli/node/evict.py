"""`registry-mesh evict`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from registry_mesh.cli.node.asked import Told, ask, node_at
from registry_mesh.cli.node.of_node import OfNode
from registry_mesh.cli.node.on_images import EPILOG, WAIT, answered, touch
from registry_mesh.findings.words import size


@click.command(cls=OfNode, epilog=EPILOG)
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option("--dry-run", is_flag=True, help="Evict nothing; say what would be freed.")
@click.option("--yes", is_flag=True, help="Do not ask first; needed where there is no terminal to ask at.")
@click.option("--json", "as_json", is_flag=True, help="What the node says, as it is.")
def command(config: Path, images: tuple[str, ...], dry_run: bool, yes: bool, as_json: bool) -> None:
    """Have the running site of CONFIG forget images: their tags, and what no other image has.

    IMAGE is a name, with its registry or without, or a pattern of the shell. The next pull brings them again.

    \b
    Example:
      registry-mesh evict config/site.yaml 'atlas/athena:24.*' --dry-run
    """
    body = {"images": images, "dry_run": dry_run}
    if not dry_run and not yes:
        _ask_first(config, body)
    told = touch(config, "evict", body, as_json, _say)
    sys.exit(1 if told["in_use"] else 0)


def _ask_first(config: Path, body: Told) -> None:
    """Show what would go; the command ends where that is not wanted, or nobody is there to say so."""
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask at: say --yes, or --dry-run to see what would go")
    plan = answered(lambda: ask(node_at(config), "/api/1/images/evict", {**body, "dry_run": True}, wait=WAIT))
    _say(plan)
    count = len(plan["images"])
    what = f"Evict {count} image{'' if count == 1 else 's'}, {size(plan['freed'])}?"
    click.confirm(f"{what} The next pull brings {'it' if count == 1 else 'them'} again.", abort=True)


def _say(told: Told) -> None:
    width = max(len(each["name"]) for each in told["images"])
    for each in told["images"]:
        click.echo(f"  {each['name']:{width}}  frees {size(each['frees'])} of {size(each['held'])}")
    if told["dry_run"]:
        click.echo(f"Would free {size(told['freed'])}. Nothing was evicted.")
        return
    holds = f"; the store holds {size(told['used'])}" if told.get("used") is not None else ""
    click.echo(f"Evicted {size(told['freed'])}{holds}. Undo: registry-mesh preload, with the same names.")
    if told["in_use"]:
        click.echo(
            f"{told['in_use']} blobs are being filled and stay: try again when that is done.", err=True
        )
