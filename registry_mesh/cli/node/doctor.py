"""`registry-mesh doctor`."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import textwrap
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

import click

from registry_mesh.cli.node.asked import (
    EXIT_FAILED,
    EXIT_INVALID,
    NodeAddress,
    NodeRefuses,
    NodeSilent,
    Told,
    ask,
    exit_for,
    node_at,
    to_ask,
)
from registry_mesh.cli.node.marks import Marks, marks, say, worst
from registry_mesh.cli.node.of_node import OfNode
from registry_mesh.cli.node.screens import next_step
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.schema import Config
from registry_mesh.findings.finding import NAMES

_WIDTH: Final = 100

OK, WARNING, CRITICAL, UNKNOWN = range(4)
"""Exit codes of a Nagios plugin (Monitoring Plugins Development Guidelines)."""
_WORDS: Final = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


@click.command(
    cls=OfNode,
    epilog="Exit codes: 0 nothing needs you; 1 something does; 2 the configuration is wrong; 3 no node answers; 4 it "
    "wants a login. With --check those of Nagios: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN: nobody answers to say.",
)
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="One line, and exit codes, as Nagios takes them.")
@click.option("--all", "everything", is_flag=True, help="Name what was looked at and is well, too.")
@click.option("--network", is_flag=True, help="Try parents and bucket from here, as `probe` does.")
@click.option("--report", "reports", is_flag=True, help="A file for those who help, without secrets.")
@click.option("--json", "as_json", is_flag=True, help="For programs (registry-mesh/doctor/1).")
def command(config: Path, check: bool, everything: bool, network: bool, reports: bool, as_json: bool) -> None:
    """Say what the node of CONFIG needs a person for: since when, why, what next.

    Asks the running node at its admin address. ■ is broken, ▲ is worth a look. The name at the end of a line never
    changes: alerts, the log and refused requests use it too.

    \b
    Examples:
      registry-mesh doctor config/site.yaml
      registry-mesh doctor config/site.yaml --network --report
    """
    if reports:
        _report(config, network)
    try:
        told = _asked(config, tell=not check)
    except (ConfigInvalid, NodeSilent, NodeRefuses) as fault:
        click.echo(unknown(str(fault)) if check else str(fault), err=not check)
        code = EXIT_INVALID if isinstance(fault, ConfigInvalid) else exit_for(fault)
        sys.exit(UNKNOWN if check else code)
    if as_json:
        click.echo(json.dumps(document(told, time.time()), indent=2, ensure_ascii=False))
    elif check:
        click.echo(nagios(told))
        sys.exit(severity(told))
    else:
        width = min(_WIDTH, shutil.get_terminal_size((_WIDTH, 24)).columns)
        say("\n".join(lines(told, width, marks(), everything=everything)))
    failed = _network(config) if network and not as_json else 0
    sys.exit(1 if told["findings"] or failed else 0)


def _report(path: Path, network: bool) -> NoReturn:
    """Write a report, also of a node that does not answer or whose configuration is wrong."""
    from registry_mesh.cli.node import report

    try:
        where = _address(path) or to_ask(path)
    except ConfigInvalid as invalid:
        click.echo(str(invalid), err=True)
        where = None
    tries = partial(_network, path) if network and isinstance(where, Config) else None
    try:
        file = report.write(report.report(str(path), where, tries))
    except OSError as fault:
        click.echo(f"{fault.filename}: {fault.strerror}: go to a folder that you may write to", err=True)
        sys.exit(EXIT_FAILED)
    click.echo("\n".join(report.lines(file)))
    sys.exit(0)


def _network(path: Path) -> int:
    """Try parents and bucket from this machine; whether a step failed."""
    from registry_mesh.cli.node.probe import probe

    where = node_at(path)
    if isinstance(where, NodeAddress):
        click.echo("--network tries from the node's own machine: run it there", err=True)
        return 1
    click.echo("")
    return probe(where)


def _asked(path: Path, *, tell: bool) -> Told:
    """What the node says; of one that does not run, also what keeps it from its store. `ConfigInvalid`, `NodeSilent`,
    `NodeRefuses`."""
    if isinstance(where := _address(path), NodeAddress):
        return ask(where, "/api/1/findings")
    config = to_ask(path, tell=tell)
    try:
        return ask(config, "/api/1/findings")
    except NodeSilent as silent:
        why = _kept_from_store(config)
        raise NodeSilent(f"{silent}\n  It cannot start: {why}." if why else str(silent)) from None


def _address(path: Path) -> NodeAddress | None:
    found = node_at(path) if str(path).startswith(("http:/", "https:/")) else None
    return found if isinstance(found, NodeAddress) else None


def document(told: Told, now: float) -> dict[str, object]:
    """What is found, for programs: fields are only ever added."""
    states = [each["state"] for each in told["findings"]]
    return {
        "schema": "registry-mesh/doctor/1",
        "node": told["node"],
        "role": told.get("role", ""),
        "version": told.get("version", ""),
        "time": _moment(now),
        "verdict": {"state": worst(states), "sentence": told["verdict"]},
        "looked_at": told["looked_at"],
        "findings": [
            {
                "id": each["name"],
                "state": each["state"],
                "since": _moment(each["since"]) if each["since"] else None,
                "subject": {"name": each["subject"], "registries": each["registries"]},
                "sentence": each["sentence"],
                "evidence": {"sentences": each["evidence"]},
                "next": _next(each["next"]),
                "handbook": f"docs/findings.md#{each['name']}",
            }
            for each in told["findings"]
        ],
    }


def _next(step: str) -> dict[str, str | None]:
    """The step, and the command in it that can be pasted, where it is one."""
    command = step.partition(", ")[0]
    starts = step.startswith(("registry-mesh ", "systemctl ", "journalctl ", "chronyc "))
    is_command = starts and " says " not in command
    return {"sentence": next_step(step) if step else "", "command": command if is_command else None}


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _kept_from_store(config: Config) -> str:
    from registry_mesh.assembly.sources.storage import check_owner
    from registry_mesh.ports.failures import StoreBroken, StoreForeign

    try:
        asyncio.run(check_owner(config))
    except (StoreForeign, StoreBroken) as fault:
        return fault.reason
    return ""


def unknown(why: str) -> str:
    """The line of a Nagios plugin that learned nothing."""
    return f"UNKNOWN: {' '.join(why.split())}"


def severity(told: Told) -> int:
    """The exit code of a Nagios plugin."""
    states = {each["state"] for each in told["findings"]}
    return CRITICAL if "broken" in states else WARNING if states else OK


def nagios(told: Told) -> str:
    """The line of a Nagios plugin: state, sentence, what is found, figures."""
    found = told["findings"]
    said = "; ".join(f"{each['sentence']} ({each['name']})" for each in found) or told["verdict"]
    broken = sum(each["state"] == "broken" for each in found)
    figures = f"broken={broken};;0 look={len(found) - broken};0 looked_at={told['looked_at']}"
    return f"{_WORDS[severity(told)]}: {said.replace('|', '/')} | {figures}"


def lines(told: Told, width: int, marks: Marks, *, everything: bool = False) -> Iterator[str]:
    """For a person, the worst first."""
    found = told["findings"]
    broken = sum(each["state"] == "broken" for each in found)
    look = len(found) - broken
    well = told["looked_at"] - len({each["name"] for each in found})
    yield f"{marks[worst(each['state'] for each in found)]} {told['verdict']}"
    yield f"{told['looked_at']} things looked at on {told['node']}: {well} well, {look} worth a look, {broken} broken."
    for each in found:
        yield ""
        yield from _finding(each, width, marks)
    if everything:
        yield ""
        named = {each["name"] for each in found}
        yield from (f"{marks['well']} {name}" for name in NAMES if name not in named)


def _finding(found: Told, width: int, marks: Marks) -> Iterator[str]:
    mark = marks[found["state"]]
    first, *more = textwrap.wrap(f"{mark} {found['sentence']}", width, subsequent_indent="  ") or [mark]
    room = width - len(first) - len(found["name"])
    yield first + " " * room + found["name"] if room > 1 and not more else first
    yield from more
    if room <= 1 or more:
        yield found["name"].rjust(width)
    for text in found["evidence"]:
        yield from textwrap.wrap(text, width, initial_indent="    ", subsequent_indent="    ")
    if found["next"]:
        yield f"    {next_step(found['next'])}"
