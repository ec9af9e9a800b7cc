"""`registry-mesh access`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

import click

from registry_mesh.auth.access import Action, Asked
from registry_mesh.auth.identity import ANONYMOUS_NAME, Identity
from registry_mesh.auth.policies import Policies
from registry_mesh.auth.subjects import is_group, is_member
from registry_mesh.auth.trials import Trial, failing
from registry_mesh.cli.access_view import CHANGES, decided, every, not_here, tested
from registry_mesh.cli.node.marks import say
from registry_mesh.cli.registry_meant import named
from registry_mesh.cli.rules.rule_options import FORMAT
from registry_mesh.cli.suggesting import Suggesting
from registry_mesh.config.access_files import load_book
from registry_mesh.config.checking.access import trials_of
from registry_mesh.config.checking.host_in_name import misplaced
from registry_mesh.config.document import read_document
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.load import load
from registry_mesh.config.policy_files import load_policies, load_trials, policy_paths
from registry_mesh.config.schema import Config

EXIT_DENIED: Final = 1
EXIT_INVALID: Final = 2

_PATHS: Final = click.argument(
    "paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path)
)


@click.group(cls=Suggesting)
def command() -> None:
    """Check policy files, and see who may do what, without a network."""


@command.command(epilog="Exit codes: 0 all can be used; 2 at least one cannot.")
@_PATHS
def lint(paths: tuple[Path, ...]) -> None:
    """Check policy files, or all of a directory, and run their tests; list every fault with file and line.

    \b
    Example:
      registry-mesh access lint config/access
    """
    policies = _load(paths, _node(paths))
    count = len(policies.entries)
    for entry in policies.entries:
        for group in policies.without_members(entry):
            click.echo(
                f"{entry.where}: look: {entry.name}: nobody is in @{group}: no file here has it under groups:"
            )
        for what, how in misplaced(entry):
            click.echo(f"{entry.where}: look: {what}: {how}")
    click.echo(f"ok: {count} polic{'y' if count == 1 else 'ies'}, {len(policies.groups)} groups")


@command.command("test", epilog="Exit codes: 0 all come true; 1 one does not; 2 a file is wrong.")
@_PATHS
@FORMAT
def test_(paths: tuple[Path, ...], format: str) -> None:
    """Run the tests that policy files hold. PATH: policy files, a directory of them, or the configuration of a node.

    \b
    Example:
      registry-mesh access test config/access
    """
    policies, trials = _tried(paths)
    failed = failing(policies, trials)
    if format == "json":
        told = [{"place": e.trial.place, "expected": e.expected, "is": e.came} for e in failed]
        click.echo(json.dumps({"tests": len(trials), "failed": told}, indent=2, ensure_ascii=False))
    else:
        for line in tested(trials, failed):
            say(line)
    sys.exit(EXIT_DENIED if failed else 0)


@command.command(
    "explain", epilog="Exit codes: 0 it is allowed; 1 it is denied; 2 a file or an argument is wrong."
)
@click.argument("subject", metavar="SUBJECT")
@click.argument("action", metavar="ACTION", type=click.Choice([each.value for each in Action]))
@click.argument("ref", metavar="REF")
@_PATHS
@click.option("--group", "groups", multiple=True, help="A group that the credentials name.")
@click.option("--all", "all_", is_flag=True, help="Say what each policy says, too.")
def explain_(
    subject: str, action: str, ref: str, paths: tuple[Path, ...], groups: tuple[str, ...], all_: bool
) -> None:
    """Say whether SUBJECT may do ACTION in REF (REGISTRY/REPOSITORY), and by which line, or which lines come near.
    PATH: policy files, a directory of them, or the configuration of a node; with that the registry may be left out
    where it is the node's own or its default.

    \b
    Example:
      registry-mesh access explain alice push registry.cern.example/atlas/app site.yaml
    """
    if not is_member(subject) and subject != ANONYMOUS_NAME:
        raise click.BadParameter(f"{subject}: name one caller: a user, robot:NAME or anonymous")
    for group in groups:
        if not is_group(group):
            raise click.BadParameter(f"{group} can be no group's name; leave @ out", param_hint="--group")
    node = _node(paths)
    policies = _load(paths, node)
    asked = Asked(Action(action), *named(ref, node, policies))
    identity = Identity(subject, frozenset(groups))
    if node is not None and node.role != "origin" and asked.action in CHANGES:
        for line in not_here(node.role):
            say(line)
        sys.exit(EXIT_DENIED)
    for line in (*decided(policies, identity, asked), *(every(policies, identity, asked) if all_ else ())):
        say(line)
    sys.exit(0 if policies.judge(identity, asked).allowed else EXIT_DENIED)


def _node(paths: tuple[Path, ...]) -> Config | None:
    """The node whose configuration `paths` is; None where they are policy files."""
    try:
        return load(paths[0]).config if len(paths) == 1 and _is_configuration(paths[0]) else None
    except ConfigInvalid as invalid:
        click.echo(str(invalid), err=True)
        sys.exit(EXIT_INVALID)


def _load(paths: tuple[Path, ...], node: Config | None) -> Policies:
    try:
        return load_book(node).policies if node is not None else load_policies(_files(paths))
    except ConfigInvalid as invalid:
        click.echo(str(invalid), err=True)
        sys.exit(EXIT_INVALID)


def _tried(paths: tuple[Path, ...]) -> tuple[Policies, list[Trial]]:
    try:
        if len(paths) == 1 and _is_configuration(paths[0]):
            return trials_of(read_document(paths[0].read_bytes(), str(paths[0])))
        return load_trials(_files(paths))
    except ConfigInvalid as invalid:
        click.echo(str(invalid), err=True)
        sys.exit(EXIT_INVALID)


def _files(paths: tuple[Path, ...]) -> list[Path]:
    """The policy files of all `paths`; `ConfigInvalid`."""
    return [file for path in paths for file in (policy_paths(path) if path.is_dir() else [path])]


def _is_configuration(path: Path) -> bool:
    """Whether the file configures a node; what cannot be read is told by its next reader."""
    try:
        return not path.is_dir() and bool(read_document(path.read_bytes(), str(path)).find("role"))
    except (OSError, ConfigInvalid):
        return False
