"""`registry-mesh demo`."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

import click

from registry_mesh.cli.demo_parts import client
from registry_mesh.cli.demo_parts.image import Image, make_image
from registry_mesh.cli.demo_parts.tree import REGISTRY, Node, replicate, tree

NAME: Final = "demo/real-files"
TAG: Final = "1"


@dataclass(frozen=True, slots=True)
class Row:
    """One step over one hop."""

    step: str
    hop: str
    size: int
    seconds: float
    verified: str
    cache: str = ""


@click.command(epilog="Exit codes: 0 every digest was right; 1 something failed; 130 interrupted.")
@click.option("--keep", is_flag=True, help="Leave the nodes running until Ctrl-C, to look around.")
def command(keep: bool) -> None:
    """Start an origin, a replica and a site on this machine and send an image through them.

    The image is made of files of this machine (over 100 MB). It is pushed to the origin, brought to the replica by a
    rule, and pulled through the site twice: cold, then warm. The table shows the bytes that each node sent, by its own
    counters. Everything lies in a temporary directory and ends with the command.
    """
    from rich.console import Console

    signal.signal(signal.SIGTERM, _interrupt)
    console = Console()
    try:
        with tempfile.TemporaryDirectory(prefix="registry-mesh-demo-") as directory:
            _run(Path(directory), keep, console.print)
    except KeyboardInterrupt:
        console.print("stopped; nothing is left behind")
        sys.exit(130)
    except (client.Unexpected, OSError) as fault:
        console.print(f"[bold red]failed:[/] {fault}")
        sys.exit(1)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """SIGTERM cleans up as Ctrl-C does."""
    raise KeyboardInterrupt


def _run(directory: Path, keep: bool, say: Callable[..., None]) -> None:
    began = time.monotonic()
    with tree(directory) as (origin, replica, site):
        say(
            f"origin [bold]{origin.url}[/], replica [bold]{replica.url}[/], site [bold]{site.url}[/]: three services"
        )
        (directory / "image").mkdir()
        image = make_image(directory / "image")
        say(
            f"image {NAME}:{TAG}: {len(image.blobs) - 1} layers of real files, {_size(image.size)}, {image.digest}"
        )
        rows = _rows(origin, replica, site, image)
        say(_table(rows, image))
        say(f"{time.monotonic() - began:.1f} s in all. {_advice(site, keep)}")
        if keep:
            say("running until Ctrl-C")
            signal.pause()


def _rows(origin: Node, replica: Node, site: Node, image: Image) -> list[Row]:
    count = len(image.blobs) + 1
    _, seconds = _timed(lambda: client.push(origin.url, NAME, TAG, image))
    rows = [Row("push", "client → origin", origin.received(), seconds, origin.verify_store(count))]
    before = origin.sent()
    _, seconds = _timed(lambda: replicate(replica))
    rows.append(
        Row("replicate", "origin → replica", origin.sent() - before, seconds, replica.verify_store(count))
    )
    for step in ("cold pull", "warm pull"):
        above, below = replica.sent(), site.sent()
        pulled, seconds = _timed(lambda: client.pull(site.url, REGISTRY, NAME, TAG))
        _demand(pulled.size == image.size, f"{pulled.size} bytes came, not {image.size}")
        rows.append(Row(step, "replica → site", replica.sent() - above, seconds, site.verify_store(count)))
        cache = f"{pulled.hits} hit, {pulled.misses} miss"
        verified = f"{pulled.verified} right"
        rows.append(Row("", "site → client", site.sent() - below, seconds, verified, cache))
    return rows


def _timed(work: Callable[[], client.Pulled | None]) -> tuple[client.Pulled, float]:
    began = time.monotonic()
    result = work() or client.Pulled(0, 0, 0, 0)
    return result, time.monotonic() - began


def _demand(true: bool, otherwise: str) -> None:
    if not true:
        raise client.Unexpected(otherwise)


def _table(rows: list[Row], image: Image) -> object:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    title = f"{NAME}:{TAG}, {_size(image.size)}"
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("step", "hop", "bytes", "image", "s", "digests", "cache"):
        number = name in ("bytes", "image", "s")
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(
            row.step,
            row.hop,
            f"{row.size:,}",
            f"{row.size / image.size:.2f}",
            f"{row.seconds:.2f}",
            row.verified,
            row.cache,
        )
    return table


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _advice(site: Node, running: bool) -> str:
    address = site.url if running else "SITE_URL"
    before = "" if running else "run this with --keep and then:"
    if shutil.which("ctr") and shutil.which("containerd"):
        return (
            f"containerd is here. To pull with it, {before}\n"
            f"  registry-mesh client-config containerd {address} {REGISTRY} --fallback none --output /tmp/certs.d\n"
            f"  ctr images pull --hosts-dir /tmp/certs.d {REGISTRY}/{NAME}:{TAG}"
        )
    return "For a real client: registry-mesh client-config containerd --help"
