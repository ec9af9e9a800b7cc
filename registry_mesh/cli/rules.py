"""`registry-mesh rules`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from registry_mesh.cli.suggesting import Suggesting
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.rule_files import load_rules, rule_paths
from registry_mesh.oci.reference import (
    RegistryName,
    RepositoryName,
    Tag,
    full_name,
    parse_name,
    parse_registry,
    parse_tag,
)
from registry_mesh.oci.refusals import Refusal
from registry_mesh.replication.explain import explain
from registry_mesh.replication.rules import Rules

EXIT_NOT_SELECTED: Final = 1
EXIT_INVALID: Final = 2

_PATHS: Final = click.argument(
    "paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path)
)


@click.group(cls=Suggesting)
def command() -> None:
    """Check rule files, and see what they select, without a network."""


@command.command(epilog="Exit codes: 0 all can be used; 2 at least one cannot.")
@_PATHS
def lint(paths: tuple[Path, ...]) -> None:
    """Check rule files, or all of a directory; list every fault with file and line.

    \b
    Example:
      registry-mesh rules lint config/rules
    """
    rules = _load(paths, known_platforms=True)
    registries = ", ".join(rules.registries) or "nowhere"
    click.echo(f"ok: {len(rules)} rule{'' if len(rules) == 1 else 's'}, from {registries}")


@command.command(
    "explain", epilog="Exit codes: 0 some rule selects it; 1 none does; 2 a file or REF is wrong."
)
@click.argument("ref", metavar="REF")
@_PATHS
def explain_(ref: str, paths: tuple[Path, ...]) -> None:
    """Say of every rule whether it selects REF (REGISTRY/REPOSITORY:TAG), and by which pattern.

    \b
    Example:
      registry-mesh rules explain registry.cern.example/atlas/athena:22.0.3 config/rules
    """
    registry, repository, tag = _reference(ref)
    reasons = explain(_load(paths), registry, repository, tag)
    for reason in reasons:
        click.echo(f"{reason.rule}: {'selects it' if reason.selected else 'no'}")
        for words in reason.words:
            click.echo(f"  {words}")
    selected = any(reason.selected for reason in reasons)
    click.echo("wanted" if selected else "not wanted")
    sys.exit(0 if selected else EXIT_NOT_SELECTED)


def _load(paths: tuple[Path, ...], known_platforms: bool = False) -> Rules:
    try:
        files = [file for path in paths for file in (rule_paths(path) if path.is_dir() else [path])]
        return load_rules(files, known_platforms=known_platforms)
    except ConfigInvalid as invalid:
        click.echo(str(invalid), err=True)
        sys.exit(EXIT_INVALID)


def _reference(text: str) -> tuple[RegistryName, RepositoryName, Tag]:
    registry, _, rest = text.partition("/")
    repository, _, tag = rest.rpartition(":")
    try:
        known = parse_registry(registry)
        return known, full_name(known, parse_name(repository)), parse_tag(tag)
    except Refusal as refusal:
        raise click.BadParameter(f"{text}: {refusal.reason}; write REGISTRY/REPOSITORY:TAG") from None
