"""`registry-mesh rules`."""

from __future__ import annotations

import json
import sys
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from pathlib import Path
from typing import Final

import click

from registry_mesh.cli.node.marks import say
from registry_mesh.cli.rules.explain_view import explained, tested
from registry_mesh.cli.rules.rule_imports import import_
from registry_mesh.cli.rules.rule_options import (
    EXIT_INVALID,
    EXIT_LOOK,
    FORMAT,
    PATHS,
    load,
    or_exit,
    parsed,
    read,
    read_reference,
)
from registry_mesh.cli.rules.rule_plans import diff, plan_
from registry_mesh.cli.rules.rule_record import record
from registry_mesh.cli.rules.rule_store import approve, release, undo
from registry_mesh.cli.suggesting import Suggesting
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.recorded_listing import read_listing
from registry_mesh.config.rule_files import parse_rules
from registry_mesh.config.rule_migration import changes, doubts, migrated
from registry_mesh.replication.explain import Reason, explain, guards
from registry_mesh.replication.lint import lint as remarks
from registry_mesh.replication.trial import Failed, try_all

_CATALOG: Final = click.option(
    "--catalog", type=click.Path(path_type=Path), help="A recorded listing (registry-mesh/listing/1)."
)


@click.group(cls=Suggesting)
def command() -> None:
    """Check rule files, and see what they select and would do, without a network."""


@command.command(
    epilog="Exit codes: 0 all can be used; 1 a test fails; 2 a file cannot be used, or a test is none."
)
@PATHS
@FORMAT
@_CATALOG
def lint(paths: tuple[Path, ...], format: str, catalog: Path | None) -> None:
    """Check rule files, or all of a directory; list every fault with file, line and column, say what is probably not
    meant, and run the tests that the files hold.

    \b
    Example:
      registry-mesh rules lint config/rules
    """
    rules = load(paths, known_platforms=True)
    listed = None
    if catalog is not None:
        recorded = or_exit(lambda: list(read_listing(catalog)))
        listed = {(each.place.registry, each.place.repository): tuple(each.tags) for each in recorded}
    found, failed = remarks(rules, listed), try_all(rules)
    if format == "json":
        told = [{"place": r.place, "rule": r.rule, "what": r.what} for r in found]
        click.echo(json.dumps({"rules": len(rules), "remarks": told, "failed": _told(failed)}, indent=2))
    else:
        for each in found:
            click.echo(f"{each.place}: look: rule {each.rule}: {each.what}")
        _show(failed)
        if not failed:
            registries = ", ".join(rules.registries) or "nowhere"
            click.echo(f"ok: {len(rules)} rule{'' if len(rules) == 1 else 's'}, from {registries}")
    sys.exit(_exit(failed))


@command.command("test", epilog="Exit codes: 0 all come true; 1 one does not; 2 a file or a test is wrong.")
@PATHS
@FORMAT
def test_(paths: tuple[Path, ...], format: str) -> None:
    """Run the tests that rule files hold.

    \b
    Example:
      registry-mesh rules test config/rules
    """
    rules = load(paths)
    failed = try_all(rules)
    if format == "json":
        click.echo(json.dumps({"tests": len(rules.trials), "failed": _told(failed)}, indent=2))
    else:
        for line in tested(rules, failed):
            say(line)
    sys.exit(_exit(failed))


def _exit(failed: list[Failed]) -> int:
    if any(each.invalid for each in failed):
        return EXIT_INVALID
    return EXIT_LOOK if failed else 0


def _show(failed: list[Failed]) -> None:
    for each in failed:
        click.echo(f"{each.trial.place}: test of {each.trial.ref}: {each.why}")


def _told(failed: list[Failed]) -> list[dict[str, str]]:
    return [{"place": each.trial.place, "ref": each.trial.ref, "why": each.why} for each in failed]


@command.command(
    "explain",
    epilog="Exit codes: 0 some rule selects it; 1 none does, or it is denied; 2 a file or REF is wrong.",
)
@click.argument("ref", metavar="REF")
@PATHS
@FORMAT
def explain_(ref: str, paths: tuple[Path, ...], format: str) -> None:
    """Say of every rule whether it selects REF (REGISTRY/REPOSITORY:TAG), and by which pattern; what guards it, and
    where it goes.

    \b
    Example:
      registry-mesh rules explain registry.cern.example/atlas/athena:22.0.3 config/rules
    """
    place, tag = read_reference(ref)
    rules = load(paths)
    reasons = explain(rules, place.registry, place.repository, tag)
    denial = rules.denying(place.registry, place.repository, tag)
    selected = denial is None and any(reason.selected for reason in reasons)
    more = guards(rules, place, tag) if selected else ()
    if format == "json":
        click.echo(
            json.dumps({"ref": ref, "wanted": selected, "rules": _reasons(reasons), "guards": more}, indent=2)
        )
    else:
        for line in explained(rules, reasons, denial, more):
            say(line)
    sys.exit(0 if selected else EXIT_LOOK)


def _reasons(reasons: tuple[Reason, ...]) -> list[dict[str, object]]:
    return [{"rule": r.rule, "selects": r.selected, "because": list(r.words)} for r in reasons]


def _text(content: bytes) -> str:
    """As YAML reads it, without a mark: UTF-16 says so by its first two bytes."""
    return content.decode("utf-16" if content[:2] in (BOM_UTF16_LE, BOM_UTF16_BE) else "utf-8-sig")


@command.command(epilog="Exit codes: 0 nothing means something else; 1 something may; 2 a file is wrong.")
@PATHS
@_CATALOG
@click.option("--write", is_flag=True, help="Change the files; else what would stand in them is shown.")
def migrate(paths: tuple[Path, ...], catalog: Path | None, write: bool) -> None:
    """Write rule files of registry-mesh/rules/1 as registry-mesh/rules/2, and say what would mean something else.

    \b
    Example:
      registry-mesh rules migrate config/rules --write
    """
    found = read(paths)
    before = parsed(found)
    texts = {Path(path): _text(content) for path, content in found if isinstance(content, bytes)}
    written = {path: migrated(text) or text for path, text in texts.items()}
    try:
        after = parse_rules([(path, text.encode()) for path, text in written.items()])
    except ConfigInvalid as invalid:
        click.echo(f"as registry-mesh/rules/2 they have faults:\n{invalid}", err=True)
        sys.exit(EXIT_INVALID)
    if catalog is None:
        said = list(doubts(before)) if written != texts else []
    else:
        recorded = or_exit(lambda: list(read_listing(catalog)))
        said = list(
            changes(before, after, ((r.place.registry, r.place.repository, r.tags) for r in recorded))
        )
    for path, text in written.items():
        if text != texts[path]:
            if write:
                path.write_bytes(text.encode())
            click.echo(f"{path}: {'written' if write else 'to be written'} as registry-mesh/rules/2")
    for words in said:
        click.echo(words)
    sys.exit(EXIT_LOOK if said else 0)


for each in (plan_, diff, record, import_, approve, release, undo):
    command.add_command(each)
