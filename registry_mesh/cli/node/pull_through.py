"""`registry-mesh pull-through`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

import click

from registry_mesh.cli.node import preload
from registry_mesh.cli.node.asked import Told, ask, node_at
from registry_mesh.cli.node.marks import SIGNS, Marks, marks, say
from registry_mesh.cli.node.of_node import OfNode
from registry_mesh.cli.node.on_images import WAIT, answered, cost
from registry_mesh.cli.node.screens import name_of, next_step, table, use_of
from registry_mesh.findings.words import part_of, size, span

_HEADS: Final = ("PART", "SIZE", "HERE", "THE REST FROM", "OVER THE WAN")


@click.command(
    cls=OfNode,
    epilog="Exit codes: 0 it would work, or all is here; 1 it would be refused, does not fit the store, or failed; 2 "
    "the configuration is wrong; 3 no node answers; 4 it wants a login.",
)
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("ref", metavar="REF")
@click.option("--dry-run", is_flag=True, help="Say what it would bring, and fetch nothing but manifests.")
@click.option("--platform", "platforms", multiple=True, help="os/arch of an index; all where none is given.")
@click.option("--json", "as_json", is_flag=True, help="What the node says, as it is.")
@click.pass_context
def command(
    ctx: click.Context, config: Path, ref: str, dry_run: bool, platforms: tuple[str, ...], as_json: bool
) -> None:
    """Say where an image would come from, at the running site of CONFIG, and what that costs; or bring it.

    REF is [REGISTRY/]REPOSITORY:TAG, or …@DIGEST. Without --dry-run it is brought, as by `preload`.

    \b
    Example:
      registry-mesh pull-through config/site.yaml atlas/athena:25.0.31 --dry-run
    """
    if not dry_run:
        ctx.invoke(preload.command, config=config, images=(ref,), platforms=platforms, as_json=as_json)
        return
    node = node_at(config)
    body = {"images": [ref], "platforms": list(platforms)}
    told = answered(lambda: ask(node, "/api/1/images/plan", body, wait=WAIT))
    status = answered(lambda: ask(node, "/status"))
    (image,) = told["images"]
    if as_json:
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    elif "refused" in image:
        say("\n".join(refused(image, status, marks())))
    else:
        say("\n".join(lines(image, status, told)))
    sys.exit(1 if "refused" in image or lacking(image["parts"], told) else 0)


def refused(image: Told, status: Told, marks: Marks = SIGNS) -> Iterator[str]:
    """Why it would be, and what to do."""
    yield f"{marks['broken']} {image['name']} would be refused: {image['refused']}."
    for found in status["findings"]:
        if image["registry"] in found.get("registries", ()):
            yield f"  {found['sentence']}"
            yield f"  {next_step(found['next'])}"
            return


def lines(image: Told, status: Told, told: Told) -> Iterator[str]:
    """What it is, its parts, what it comes to."""
    yield f"{image['name']} is {image['digest'][:19]}…, of a plain registry."
    yield ""
    parent = _source(status, image["registry"])
    source = name_of(parent) if parent else "-"
    manifests = [part for part in image["parts"] if part["kind"] == "manifest"]
    layers = [part for part in image["parts"] if part["kind"] != "manifest"]
    rows = [_HEADS, *([_row("manifests", manifests, source)] if manifests else [])]
    for _, group in groupby(enumerate(layers, 1), key=lambda each: _here(each[1])):
        numbered = list(group)
        first, last = numbered[0][0], numbered[-1][0]
        name = f"blob {first}" if first == last else f"blobs {first} to {last}"
        rows.append(_row(name, [part for _, part in numbered], source))
    yield from (f"  {line}" for line in table(rows, right=(1,)))
    yield ""
    yield _sum(image["parts"], parent, told)


def _source(status: Told, registry: str) -> Told | None:
    """The parent that is asked first."""
    groups = status["registries"][registry]["parents"]
    parents = [parent for group in groups for parent in group]
    return next((each for use in ("in_use", "standing_by") for each in parents if use_of(each) == use), None)


def _here(part: Told) -> str:
    if part["held"] >= part["size"]:
        return "held"
    return f"{100 * part['held'] // part['size']} %" if part["held"] else "not held"


def _row(name: str, parts: Sequence[Told], source: str) -> tuple[str, ...]:
    whole, missing = sum(part["size"] for part in parts), _missing(parts)
    return (name, size(whole), _here(parts[0]), source if missing else "", size(missing) if missing else "0")


def _missing(parts: Sequence[Told]) -> int:
    return sum(part["size"] - part["held"] for part in parts)


def _sum(parts: Sequence[Told], parent: Told | None, told: Told) -> str:
    whole, missing = sum(part["size"] for part in parts), _missing(parts)
    if not missing:
        return f"All {size(whole)} are here; nothing would cross the WAN."
    said = f"{part_of(missing, whole)} would cross the WAN"
    rate = parent.get("bytes_per_second") if parent else None
    costs = [f"about {span(missing / rate)} at {size(rate)}/s"] if rate else []
    if parent and parent.get("price"):
        costs.append(cost(missing, parent["price"]))
    said += f": {', '.join(costs)}." if costs else "."
    if told["quota"]:
        lacks = lacking(parts, told)
        said += f" It does not fit the store: {size(lacks)} are missing." if lacks else " It fits the store."
    return said


def lacking(parts: Sequence[Told], told: Told) -> int:
    """Bytes by which an image is larger than all that the store may hold; 0: it fits."""
    whole = sum(part["size"] for part in parts if part["kind"] != "manifest")
    return max(0, whole - told["quota"]) if told["quota"] else 0
