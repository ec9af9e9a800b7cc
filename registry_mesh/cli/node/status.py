"""`registry-mesh status`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from registry_mesh.cli.node.asked import NodeRefuses, NodeSilent, Told, ask, fail, node_at
from registry_mesh.cli.node.marks import SIGNS, Marks, marks, say, worst
from registry_mesh.cli.node.of_node import OfNode
from registry_mesh.cli.node.screens import mark_of, name_of, next_step, table
from registry_mesh.findings.words import moment, quota_size, size, span

SHOWN: Final = 4
"""Findings, and refusals, that are shown; the rest is counted."""

IMAGES: Final = 3
"""Images that a run brings now, likewise."""


@click.command(
    cls=OfNode,
    epilog="Exit codes: 0 shown; 2 the configuration is wrong; 3 no node answers; 4 it wants a login.",
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
    settings = node_at(config)
    try:
        told, events = ask(settings, "/status"), ask(settings, "/api/1/events")["events"]
    except (NodeSilent, NodeRefuses) as fault:
        fail(fault)
    if as_json:
        click.echo(json.dumps({**told, "events": events}, indent=2, ensure_ascii=False))
    else:
        say("\n".join(lines(told, events, time.time(), marks())))


def lines(told: Told, events: Sequence[Told], now: float, marks: Marks = SIGNS) -> Iterator[str]:
    """For a person, the sentence first."""
    first = f"{marks[worst(each['state'] for each in told['findings'])]} {told['verdict']}"
    yield f"{first:<79} {moment_of_day(now)}" if len(first) < 80 else first
    yield ""
    figures = list(_figures(told, now))
    widths = [max(len(cells[i]) for _, cells in figures if len(cells) > i) for i in range(2)]
    for name, cells in figures:
        padded = [f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=False)]
        yield f"  {name:<6} " + "  ".join([*padded, *cells[2:]]).rstrip()
        if name == "rules":
            yield from _images(told["replication"])
    if told["registries"]:
        yield ""
        yield from _registries(told["registries"], marks)
    if told["findings"]:
        yield ""
        yield from _most([_finding(each, marks) for each in told["findings"]], "registry-mesh doctor")
    if events:
        yield ""
        yield "  refused and failed, the last first"
        yield from _most([_event(each, now) for each in events], "/api/1/events")


def moment_of_day(now: float) -> str:
    """`24 Nov 10:42:16 UTC`."""
    when = datetime.fromtimestamp(now, UTC)
    return f"{when.day} {when:%b %H:%M:%S} UTC"


def _figures(told: Told, now: float) -> Iterator[tuple[str, Sequence[str]]]:
    rates, day = told.get("now"), told["last_day"]  # nodes of older versions say less
    if rates is not None:
        yield (
            "now",
            (
                f"{size(rates['sent_bytes_per_second'])}/s to {_many(rates['readers'], 'reader')}",
                f"{size(rates['upstream_bytes_per_second'])}/s over the WAN",
                f"{_many(rates['fills'], 'fill')}, {_many(rates['fill_readers'], 'reader')} joined",
            ),
        )
    if day is not None:
        yield from _day(day, now)
    if told.get("replication") is not None:
        yield from _rules(told["replication"], now)
    yield "store", _store(told)
    restarts = told.get("counters", {}).get("worker_restarts_total", 0)
    workers = f"{_many(len(told['workers']), 'worker')}, {_many(restarts, 'restart')}"
    node = f"{told['role']}, {told['version']}, up {long_span(told['uptime_seconds'])}"
    loaded = told.get("loaded")
    read = f"configuration of {moment(loaded, now)}" if loaded else f"configuration {told['generation']}"
    yield "node", (node, workers, read)


def _day(day: Told, now: float) -> Iterator[tuple[str, Sequence[str]]]:
    age = now - day["since"]
    served, moved, saved = (size(day[each]) for each in ("sent_bytes", "upstream_bytes", "saved_bytes"))
    money = "".join(
        f", {each['not_spent']:,.0f} {each['currency']} not spent" for each in day.get("money", ())
    )
    yield (
        "24 h" if age > 82800 else span(age),
        (f"{served} served", f"{moved} over the WAN", f"{saved} saved{money}"),
    )
    yield (
        "hits",
        (
            f"{_percent(day['hit_ratio_bytes'])} of bytes",
            f"{_percent(day['hit_ratio_requests'])} of requests",
            f"{day['failures']:,} of {max(day.get('pulls', day.get('requests', 0)), day['failures']):,} pulls failed",
        ),
    )


def _rules(run: Told, now: float) -> Iterator[tuple[str, Sequence[str]]]:
    """The run of the rules under way, else the last one; nothing before the first."""
    last, tags = run["last"], f"{run['tags_done']:,} of {_many(run['tags'], 'tag')}"
    if run["phase"] == "copying":
        whole = run["bytes_done"] + run["bytes_left"]
        yield "rules", (f"{size(run['bytes_done'])} of {size(whole)} brought", _pace(run), tags)
    elif run["phase"] == "listing" and run["tags"]:
        yield "rules", ("looking", _many(run["tags"], "tag"))
    elif last is not None:
        state = "complete" if last["complete"] else f"{last['failed']:,} failed"
        yield (
            "rules",
            (f"{state} {span(now - last['ended'])} ago", f"{last['held']:,} of {_many(last['tags'], 'tag')}"),
        )


def _images(run: Told) -> Iterator[str]:
    """The images of which bytes move now, a few of them."""
    images = run.get("images", ())[:IMAGES]  # nodes of older versions tell of none
    for each in images:
        name = each["image"] + (f" as {each['to']}" if each["to"] else "")
        done = f"{size(each['bytes'] - each['bytes_left'])} of {size(each['bytes'])}"
        yield f"         {name}  {done}, {_pace(each)}"
    if (more := run.get("images_in_all", 0) - len(images)) > 0:
        yield f"         and {_many(more, 'image')} more"


def _pace(moving: Told) -> str:
    eta = moving["eta_seconds"]
    return f"{size(moving['bytes_per_second'])}/s" + (f", {span(eta)} left" if eta is not None else "")


def _store(told: Told) -> Sequence[str]:
    store, scrub = told["store"], told.get("scrub")
    quota = store["quota_bytes"]
    used = size(store["used_bytes"] or 0)
    evicts = "evicts nothing" if told["role"] != "site" else f"evicts from {size(quota)}" if quota else ""
    of = f" of {quota_size(quota)}" if quota else ""
    if scrub is None:
        return (used + of, evicts)
    age = scrub["age_seconds"]
    read = "not read again yet" if age is None else f"read again {span(age)} ago"
    return (used + of, evicts, f"{read}, {scrub['rotten']} rotten")


def long_span(seconds: float) -> str:
    """`41 d 6 h`, `6 h 12 min`, `5 min`: two units of what is long."""
    minutes = int(seconds // 60)
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {rest} min" if hours else span(seconds)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _registries(registries: Mapping[str, Told], marks: Marks) -> Iterator[str]:
    """Each with its hits since the start, and how its parents do. No registry is signed yet: none has a revision."""
    rows = [("registry", "revision", "head ends", "hits", "parents")]
    for host, registry in registries.items():
        parents = [parent for group in registry["parents"] for parent in group]
        said = "  ".join(f"{marks[mark_of(each)]} {name_of(each)}" for each in parents)
        rows.append((host, "plain", "-", _percent(registry["cache"]["hit_ratio_requests"]), said or "-"))
    yield from (f"  {line}" for line in table(rows))


def _finding(found: Told, marks: Marks) -> str:
    after = f"\n  {next_step(found['next'])}" if found["next"] else ""
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
