"""`registry-mesh status`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import click

from registry_mesh.cli.asked import NodeRefuses, NodeSilent, Told, ask, fail, loaded
from registry_mesh.cli.marks import SIGNS, Marks, marks, worst
from registry_mesh.findings.words import moment, size, span

SHOWN: Final = 4
"""Findings, and refusals, that are shown; the rest is counted."""


@click.command(
    epilog="Exit codes: 0 shown; 2 the configuration is wrong; 3 no node answers; 4 it wants a login."
)
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--json", "as_json", is_flag=True, help="What /status says, as it is, with the refusals as events."
)
def command(config: Path, as_json: bool) -> None:
    """Show how the node that CONFIG describes does: a sentence, its last 24 hours, its registries, what was refused.

    Asks the running node at its admin address. What needs a person does not change the exit code; `doctor` does that.

    \b
    Example:
      registry-mesh status config/site.yaml
    """
    settings = loaded(config)
    try:
        told, events = ask(settings, "/status"), ask(settings, "/api/1/events")["events"]
    except (NodeSilent, NodeRefuses) as fault:
        fail(fault)
    if as_json:
        click.echo(json.dumps({**told, "events": events}, indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(lines(told, events, time.time(), marks())))


def lines(told: Told, events: Sequence[Told], now: float, marks: Marks = SIGNS) -> Iterator[str]:
    """For a person, the sentence first."""
    yield f"{marks[worst(each['state'] for each in told['findings'])]} {told['verdict']}"
    yield ""
    for name, cells in _figures(told, now):
        yield f"  {name:<6} " + "".join(f"{cell:<24}" for cell in cells).rstrip()
    if told["registries"]:
        yield ""
        yield from _registries(told["registries"])
    if told["findings"]:
        yield ""
        yield from _most([_finding(each, marks) for each in told["findings"]], "registry-mesh doctor")
    if events:
        yield ""
        yield "  refused and failed, the last first"
        yield from _most([_event(each, now) for each in events], "/api/1/events")


def _figures(told: Told, now: float) -> Iterator[tuple[str, Sequence[str]]]:
    day, store = told["last_day"], told["store"]
    if day is not None:
        age = now - day["since"]
        served, moved, saved = (size(day[each]) for each in ("sent_bytes", "upstream_bytes", "saved_bytes"))
        yield (
            "24 h" if age > 82800 else span(age),
            (f"{served} served", f"{moved} over the WAN", f"{saved} saved"),
        )
        failed = f"{day['failures']:,} of {day['requests']:,} requests failed"
        yield (
            "hits",
            (
                f"{_percent(day['hit_ratio_bytes'])} of bytes",
                f"{_percent(day['hit_ratio_requests'])} of requests",
                failed,
            ),
        )
    used = size(store["used_bytes"] or 0)
    yield "store", (f"{used} of {size(store['quota_bytes'])}" if store["quota_bytes"] else used,)
    workers = f"{len(told['workers'])} workers, configuration {told['generation']}"
    yield "node", (f"{told['role']}, {told['version']}", f"up {span(told['uptime_seconds'])}", workers)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _registries(registries: Mapping[str, Told]) -> Iterator[str]:
    """Each with its hits since the start, and how its parents do."""
    rows = [("registry", "hits", "parents")]
    for host, registry in registries.items():
        parents = [parent for group in registry["parents"] for parent in group]
        said = ", ".join(f"{parent['url'].partition('://')[2]} {parent['state']}" for parent in parents)
        rows.append((host, _percent(registry["cache"]["hit_ratio_requests"]), said or "-"))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for host, hits, said in rows:
        yield f"  {host:<{widths[0]}}  {hits:<{widths[1]}}  {said}"


def _finding(found: Told, marks: Marks) -> str:
    after = f"\n  Next: {found['next']}" if found["next"] else ""
    return f"{marks[found['state']]} {found['sentence']}{after}"


def _event(event: Told, now: float) -> str:
    kind = f"{event['side']}: {event['reason']}"
    if event["count"] > 1:
        kind += f", {event['count']:,} times"
    said = f"{event['subject']}: {event['why']}"
    return f"  {moment(event['last'], now)}  {_printable(said)} ({kind})"


def _printable(text: str) -> str:
    """What others sent moves no cursor."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _most(said: Sequence[str], where: str) -> Iterator[str]:
    yield from said[:SHOWN]
    if len(said) > SHOWN:
        yield f"  {len(said) - SHOWN} more: {where}"
