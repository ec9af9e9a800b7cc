"""`registry-mesh parents`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import click

from registry_mesh.cli.node.asked import EXIT_FAILED, NodeRefuses, NodeSilent, Told, ask, fail, node_at
from registry_mesh.cli.node.marks import SIGNS, Marks, marks, say
from registry_mesh.cli.node.of_node import OfNode
from registry_mesh.cli.node.on_images import WAIT, answered
from registry_mesh.cli.node.parents_document import document
from registry_mesh.cli.node.screens import mark_of, name_of, table, use_of
from registry_mesh.findings.words import moment, size, span

_USABLE: Final = ("up", "unasked")
_HEADS: Final = (
    "REGISTRY / PARENT", "GROUP", "STATE", "SINCE", "LATENCY", "RATE", "24 H", "WRONG", "REVISION",
)  # fmt: skip
_NUMBERS: Final = (3, 4, 5, 6, 7)
_WORDS: Final = {
    "in_use": "in use",
    "standing_by": "standing by",
    "left_out": "left out",
    "waiting": "waits",
    "silent": "silent",
}
_DAY: Final = 86400.0


@click.command(
    cls=OfNode,
    epilog="Exit codes: 0 shown; 1 none of a registry's parents is asked now; 2 the configuration is wrong; "
    "3 no node answers; 4 it wants a login.",
)
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("name", required=False)
@click.option("--measure", is_flag=True, help="Fetch up to 8 MB from each now, and say how fast it came.")
@click.option("--json", "as_json", is_flag=True, help="For programs (registry-mesh/parents/1).")
def command(config: Path, name: str | None, measure: bool, as_json: bool) -> None:
    """Show how the parents of the node that CONFIG describes do, as the node sees it: all, or that of NAME.

    `in use` are those that are asked first; `standing by` are asked where those fail; `left out`: it is far slower than
    another, is no registry, or gives us nothing; `waits`: it asked to be left alone; `silent`: it does not answer;
    `fails`: it answers, with errors. A line below says how often another was asked beside a late one (`hedge`). 24 H is
    what came from it, WRONG how often it sent wrong bytes.

    \b
    Example:
      registry-mesh parents config/site.yaml
    """
    try:
        status = ask(node_at(config), "/status")
        registries, siblings = status["registries"], status.get("siblings", ())
    except (NodeSilent, NodeRefuses) as fault:
        fail(fault)
    if name is not None:
        registries, siblings = of_parent(registries, name), ()
        if not registries:
            click.echo(f"no parent is called {name}", err=True)
            sys.exit(EXIT_FAILED)
    if measure:
        sys.exit(_measure(config, registries if name is not None else {}, as_json))
    shown = (
        json.dumps(document(status, registries, siblings, time.time()), indent=2, ensure_ascii=False)
        if as_json
        else "\n".join(lines(registries, time.time(), marks(), siblings))
    )
    (click.echo if as_json else say)(shown)
    sys.exit(0 if all(map(_is_served, registries.values())) else EXIT_FAILED)


def _measure(config: Path, only: Mapping[str, Told], as_json: bool) -> int:
    """Measure those of `only`, all where it is empty; 1 where one gave nothing."""
    groups = (group for registry in only.values() for group in registry["parents"])
    names = [name_of(each) for group in groups for each in group]
    click.echo(f"fetching up to 8 MB from {', '.join(names) or 'each parent'}", err=True)
    told = answered(lambda: ask(node_at(config), "/api/1/parents/measure", {"parents": names}, wait=WAIT))
    if as_json:
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo("\n".join(measured(told["measured"])))
    return EXIT_FAILED if any("error" in each for each in told["measured"]) else 0


def measured(told: Sequence[Told]) -> Iterator[str]:
    """A line a parent."""
    rows = [("PARENT", "FETCHED", "FIRST BYTE", "RATE", "REGISTRY")]
    for each in told:
        if "error" in each:
            rows.append((each["parent"], "-", "-", "-", f"{each['registry']}: {each['error']}"))
        else:
            first = f"{each['first_byte_seconds'] * 1000:.3g} ms"
            rate = f"{size(each['bytes_per_second'])}/s"
            rows.append((each["parent"], size(each["bytes"]), first, rate, each["registry"]))
    yield from table(rows, right=(1, 2, 3))


def of_parent(registries: Mapping[str, Told], name: str) -> Mapping[str, Told]:
    """What is said of the parents of that name, with or without their port."""
    found = {}
    for host, registry in registries.items():
        groups = [
            [each for each in group if name in (name_of(each), name_of(each).partition(":")[0], each["url"])]
            for group in registry["parents"]
        ]
        if any(groups):
            found[host] = {**registry, "parents": groups}
    return found


def _is_served(registry: Told) -> bool:
    """Whether one of its parents is asked now; so it is where it has none."""
    states = [parent["state"] for group in registry["parents"] for parent in group]
    return not states or any(state in _USABLE for state in states)


def lines(
    registries: Mapping[str, Told], now: float, marks: Marks = SIGNS, siblings: Sequence[Told] = ()
) -> Iterator[str]:
    """The table, a line a parent, in the order they are asked, and the other servers of a site; then what is amiss."""
    rows: list[tuple[str, ...]] = [_HEADS]
    amiss: list[str] = []
    hedged: list[str] = []
    for host, registry in registries.items():
        rows.append((host, *("" for _ in _HEADS[1:])))
        amiss.append(_outage(host, registry.get("outage"), now, marks))
        for group, parents in enumerate(registry["parents"], 1):
            rows += [_row(str(group), parent, now, marks) for parent in parents]
            amiss += [_amiss(parent, marks) for parent in parents]
            hedged += map(_hedged, parents)
            amiss += [_cut_off(host, parent, now, marks) for parent in parents]
    if siblings:
        rows.append(("servers of this site", *("" for _ in _HEADS[1:])))
        rows += [_row("sibling", sibling, now, marks) for sibling in siblings]
        amiss += [_amiss(sibling, marks) for sibling in siblings]
    if len(rows) == 1 + len(registries):
        yield "no registry has parents"
        return
    yield from table(rows, right=_NUMBERS)
    said = list(dict.fromkeys(filter(None, [*amiss, *hedged])))
    if said:
        yield ""
        yield from said


def _hedged(parent: Told) -> str:
    """How often another parent was asked beside it, and how often one would have been; empty where that is never."""
    outcomes = parent.get("hedges") or {}
    won, denied = outcomes.get("won", 0), outcomes.get("denied", 0)
    asked, requests = won + outcomes.get("lost", 0), parent.get("requests") or 0
    if not asked + denied:
        return ""
    share = f" in {requests:,} requests ({100 * asked / requests:.1f} %)" if requests else ""
    beside = f"another was asked beside it {asked:,} times{share}, and was first {won:,} times"
    told = [f"{name_of(parent)}: later than usual; {beside}"]
    if denied:
        told.append(f"{denied:,} times none was, as the budget was used up")
    return f"  {'; '.join(told)}."


def _outage(host: str, outage: Told | None, now: float, marks: Marks) -> str:
    """Of a registry of which no parent gives anything; nodes of an older version do not say."""
    if outage is None:
        return ""
    said = "offline" if outage["parents"] == "silent" else "no parent answers but with errors"
    left = outage["tags_for_seconds"]
    tags = f"tags for {span(left)} more" if left else "tags no more"
    since = moment(now - outage["since_seconds"], now)
    return f"{marks['broken']} {host}: {said} since {since}; what is held goes on, {tags}."


def _cut_off(host: str, parent: Told, now: float, marks: Marks) -> str:
    """Of a parent that answers, and reaches nothing above it."""
    seconds = parent.get("cut_off_seconds")
    if seconds is None:
        return ""
    since = moment(now - seconds, now)
    return f"{marks['warn']} {name_of(parent)}: reaches none of its own parents of {host} since {since}."


def _word(parent: Told) -> str:
    """What it is to its registry; one that answers with errors alone is not silent."""
    use = use_of(parent)
    return "fails" if use == "silent" and not parent.get("lost", True) else _WORDS[use]


def _row(group: str, parent: Told, now: float, marks: Marks) -> tuple[str, ...]:
    latency, rate, day = (parent.get(key) for key in ("latency_ms", "bytes_per_second", "day_bytes"))
    return (
        f"  {marks[mark_of(parent)]} {name_of(parent)}",
        group,
        _word(parent),
        _since(parent, now),
        "-" if latency is None else f"{latency:.2g} ms" if latency < 10 else f"{latency:.0f} ms",
        f"{size(rate)}/s" if rate else "-",
        "-" if day is None else size(day),
        f"{parent.get('lies', 0):,}",
        "-",
    )


def _since(parent: Told, now: float) -> str:
    """How long ago what lasts began, and when what began today did."""
    slow = parent.get("slow_since_seconds") if use_of(parent) == "left_out" else None
    seconds = parent["since_seconds"] if slow is None else slow
    if seconds is None:
        return "-"
    return span(seconds) if seconds >= _DAY else moment(now - seconds, now)


def _amiss(parent: Told, marks: Marks) -> str:
    """Why it is not asked, and when it is again."""
    if mark_of(parent) == "well" and not parent["last_error"]:
        return ""
    why = parent.get("why") or parent["last_error"]
    if use_of(parent) == "left_out" and parent.get("slow_for_seconds"):
        why = f"slow, {size(parent.get('bytes_per_second') or 0)}/s"
    elif use_of(parent) == "left_out" and (status := parent.get("no_registry")):
        why = f"is no registry: it answers /v2/ with {'a web page' if status == 200 else status}"
    why = why.removeprefix(name_of(parent)).removeprefix(":").strip()
    again = parent["next_try_seconds"]
    told = [why or _word(parent)]
    if again is not None:
        told.append(f"asked again in {span(again)}")
    if parent["quota_remaining"] is not None:
        of = f" of {parent['quota_limit']}" if parent["quota_limit"] is not None else ""
        told.append(f"{parent['quota_remaining']}{of} requests left")
    mark = marks[mark_of(parent)]
    before = "answers again; before: " if mark_of(parent) == "well" else ""
    return f"{mark} {name_of(parent)}: {before}{'; '.join(told)}."
