"""`registry-mesh parents`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import click

from registry_mesh.cli.asked import EXIT_FAILED, NodeRefuses, NodeSilent, Told, ask, fail, loaded

_USABLE: Final = ("up", "unasked")
_HEADS: Final = ("REGISTRY", "PARENT", "STATE", "SINCE", "NEXT TRY", "LATENCY", "LAST ERROR")


@click.command(
    epilog="Exit codes: 0 shown; 1 none of a registry's parents is asked now; 2 the configuration is wrong; "
    "3 no node answers; 4 it wants a login."
)
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="What /status says of the registries, as it is.")
def command(config: Path, as_json: bool) -> None:
    """Show how the parents of the node that CONFIG describes do, as the node sees it.

    Asks the running node at its admin address. `down`: left alone until the next try; `silent`: accepts, and does not
    answer; `throttled`: it asked to be left alone; `unasked`: it has not answered yet.

    \b
    Example:
      registry-mesh parents config/site.yaml
    """
    try:
        registries = ask(loaded(config), "/status")["registries"]
    except (NodeSilent, NodeRefuses) as fault:
        fail(fault)
    click.echo(json.dumps(registries, indent=2) if as_json else "\n".join(lines(registries)))
    sys.exit(0 if all(map(_is_served, registries.values())) else EXIT_FAILED)


def _is_served(registry: Told) -> bool:
    """Whether one of its parents is asked now; so it is where it has none."""
    states = [parent["state"] for group in registry["parents"] for parent in group]
    return not states or any(state in _USABLE for state in states)


def lines(registries: Mapping[str, Told]) -> list[str]:
    """The table, a line a parent, in the order they are asked."""
    rows = [
        _row(host, parent)
        for host, registry in registries.items()
        for group in registry["parents"]
        for parent in group
    ]
    if not rows:
        return ["no registry has parents"]
    widths = [max(len(row[i]) for row in (_HEADS, *rows)) for i in range(len(_HEADS))]
    return [_line(row, widths) for row in (_HEADS, *rows)]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _row(host: str, parent: Told) -> tuple[str, ...]:
    latency = parent["latency_ms"]
    again = parent["next_try_seconds"]
    return (
        host,
        parent["url"],
        parent["state"],
        _span(parent["since_seconds"]),
        "-" if again is None else f"in {_span(again)}",
        "-" if latency is None else f"{latency:.0f} ms",
        _error(parent),
    )


def _error(parent: Told) -> str:
    """What went wrong last, and what is left of a quota."""
    told = []
    if parent["last_error"]:
        told.append(f"{parent['last_error']} ({_span(parent['last_error_seconds'])} ago)")
    if parent["quota_remaining"] is not None:
        of = f" of {parent['quota_limit']}" if parent["quota_limit"] is not None else ""
        told.append(f"{parent['quota_remaining']}{of} requests left")
    return "; ".join(told) or "-"


def _span(seconds: float | None) -> str:
    """Seconds in the largest unit that keeps two digits."""
    if seconds is None:
        return "-"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
