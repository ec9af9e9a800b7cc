"""`registry-mesh explain`."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterable, Iterator
from typing import Final

import click

from registry_mesh.cli.findings_page import Entry, entries
from registry_mesh.findings.finding import NAMES, State
from registry_mesh.telemetry.alert_table import ALERTS

_STATES: Final = {
    State.BROKEN: "broken: a job fails, or will",
    State.LOOK: "worth a look",
    None: "an alert of Prometheus alone",
}
_WIDTH: Final = 96


@click.command(epilog="Exit codes: 0 explained; 2 there is no such finding or alert.")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """Say what a finding or an alert means, and what to do next.

    Without NAME all are listed.

    \b
    Examples:
      registry-mesh explain offline
      registry-mesh explain RegistryMeshParentSlow
    """
    known = entries()
    if name is None:
        for each in known:
            click.echo(f"{each:20}{_STATES[NAMES.get(each)]}")
        return
    finding = {alert.name.lower(): alert.finding for alert in ALERTS}.get(name.lower(), name.lower())
    if finding not in known:
        raise click.UsageError(f"no finding or alert is called {name}; {_how(name, known)}")
    click.echo("\n".join(_told(finding, known[finding])))


def _how(name: str, known: Iterable[str]) -> str:
    if "/" in name:
        return "of an image: registry-mesh rules explain, or access explain"
    near = difflib.get_close_matches(name.lower(), known, 1, 0.6)
    return f"did you mean {near[0]}?" if near else "registry-mesh explain lists them"


def _told(finding: str, entry: Entry) -> Iterator[str]:
    yield f"{finding}: {_STATES[NAMES.get(finding)]}"
    yield from _wrapped(f"It is so when {entry.when}." if entry.next else entry.when)
    if entry.next:
        yield from _wrapped(f"Next: {entry.next}.")
    for alert in ALERTS:
        if alert.finding == finding:
            yield f"  Alert: {alert.name}, {alert.severity}, after {alert.held}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
