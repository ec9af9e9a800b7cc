"""`registry-mesh preload`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TextIO

import click

from registry_mesh.cli.node.asked import NodeAddress, NodeRefuses, NodeSilent, Told, fail, node_at, steps
from registry_mesh.cli.node.of_node import OfNode
from registry_mesh.cli.replication_view import clock
from registry_mesh.config.schema import Config
from registry_mesh.findings.words import size

_EVERY: Final = 10.0
"""Seconds between two lines where no terminal is."""
_WAIT: Final = 60.0
_PATIENCE: Final = 60.0
"""Seconds for a node to answer again whose process ended."""
_PAUSE: Final = 1.0
_ENDED: Final = (
    "The node ended before all was here, and does not come back.\n"
    "  Next: start it; the same command goes on with the rest"
)


@click.command(
    cls=OfNode,
    epilog="Exit codes: 0 all are here; 1 some failed, and are listed; 2 the configuration is wrong; 3 no node "
    "answers, or it ended before all was here; 4 it wants a login; 130 interrupted (what came is kept).",
)
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, metavar="IMAGE...")
@click.option("--from", "source", type=click.File(), help="A file with a name a line; - for standard input.")
@click.option("--platform", "platforms", multiple=True, help="os/arch of an index; all where none is given.")
@click.option("--quiet", is_flag=True, help="No progress, only the result.")
@click.option("--json", "as_json", is_flag=True, help="The result for programs.")
def command(
    config: Path,
    images: tuple[str, ...],
    source: TextIO | None,
    platforms: tuple[str, ...],
    quiet: bool,
    as_json: bool,
) -> None:
    """Bring images to the running site of CONFIG; return when they are here and proven.

    IMAGE is [REGISTRY/]REPOSITORY:TAG, or …@DIGEST. What is here is not fetched again, nor is what the store has no
    room for. ^C stops it, and the same command goes on with the rest. It outlives a reload and a restart of the node.

    \b
    Example:
      registry-mesh preload config/site.yaml atlas/athena:25.0.31 --platform linux/amd64
    """
    names = [*images, *(_names(source) if source is not None else ())]
    if not names:
        raise click.UsageError("name an image, or a file of names with --from")
    body = {"images": names, "platforms": platforms}
    began = time.monotonic()
    last: Told = {}
    try:
        show = _shown(quiet or as_json)
        for last in _followed(node_at(config), body):
            show(last, time.monotonic() - began)
    except (NodeSilent, NodeRefuses) as fault:
        fail(fault)
    except KeyboardInterrupt:
        click.echo("interrupted; what came is kept", err=True)
        sys.exit(130)
    _end(last, time.monotonic() - began, as_json)


def _followed(config: Config | NodeAddress, body: Told) -> Iterator[Told]:
    """What the node says of a preload, up to its end; it is asked again where the process that said it ended before.
    `NodeSilent`, `NodeRefuses`."""
    heard, is_again = 0.0, False
    while True:
        fault = NodeSilent(_ENDED)
        try:
            for told in steps(config, "/api/1/images/preload", body, wait=_WAIT):
                heard, is_again = time.monotonic(), False
                yield told
                if told.get("done"):
                    return
        except NodeSilent as silent:
            fault = fault if heard else silent
        if not heard or time.monotonic() - heard > _PATIENCE:
            raise fault
        if not is_again:
            click.echo("the node's process ended; what came is kept, and the node is asked again", err=True)
        is_again = True
        time.sleep(_PAUSE)


def _names(source: TextIO) -> Iterator[str]:
    for line in source:
        if name := line.partition("#")[0].strip():
            yield name


def _shown(quiet: bool) -> Callable[[Told, float], None]:
    terminal, said = sys.stderr.isatty(), [0.0]

    def show(told: Told, seconds: float) -> None:
        if quiet or told.get("done"):
            return
        if terminal:
            click.echo(f"\r\x1b[2K{line(told, seconds)[:110]}", err=True, nl=False)
        elif seconds - said[0] >= _EVERY:
            said[0] = seconds
            click.echo(f"preload: {line(told, seconds)}", err=True)

    return show


def line(told: Told, seconds: float) -> str:
    """`137 GB of 224 GB, 251 MB/s, 5:47 left; 19 of 31 images; 0 failed`."""
    rate = told["bytes_done"] / seconds if seconds > 0 else 0.0
    left = max(0, told["bytes"] - told["bytes_done"])
    eta = f", {clock(left / rate)} left" if rate and left else ""
    return (
        f"{size(told['bytes_done'])} of {size(told['bytes'])}, {size(rate)}/s{eta}; "
        f"{told['images_done']} of {told['images']} images; {len(told['failed'])} failed"
    )


def _end(told: Told, seconds: float, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        if sys.stderr.isatty():
            click.echo("\r\x1b[2K", err=True, nl=False)
        for name, why in told["failed"].items():
            click.echo(f"{name}: {why}", err=True)
        here = f"{told['images_done']} of {told['images']} images are here and proven"
        click.echo(f"{here}: {size(told['bytes_done'])} in {clock(seconds)}.")
    sys.exit(1 if told["failed"] else 0)
