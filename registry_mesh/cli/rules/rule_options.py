"""What all `registry-mesh rules` commands take, and how they end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import click

from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.rule_files import RuleTexts, contents, parse_rules, rule_paths
from registry_mesh.oci.reference import Tag
from registry_mesh.oci.refusals import Refusal
from registry_mesh.replication.decision import Place
from registry_mesh.replication.rules import Rules
from registry_mesh.replication.trial import names_registry, reference

EXIT_LOOK: Final = 1
EXIT_INVALID: Final = 2
EXIT_STOPPED: Final = 3

PATHS: Final = click.argument(
    "paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
FORMAT: Final = click.option(
    "--format",
    type=click.Choice(["text", "json"]),
    default="text",
    help="Text for people, JSON for programs.",
)

T = TypeVar("T")


def or_exit(do: Callable[[], T]) -> T:
    """What `do` gives; where a file is wrong its faults are told and the command ends."""
    try:
        return do()
    except ConfigInvalid as invalid:
        click.echo(str(invalid), err=True)
        sys.exit(EXIT_INVALID)


def files_of(paths: Sequence[Path]) -> list[Path]:
    """The rule files of all `paths`; `ConfigInvalid`."""
    return [file for path in paths for file in (rule_paths(path) if path.is_dir() else [path])]


def read(paths: Sequence[Path]) -> RuleTexts:
    """What stands in files and directories, for `parsed`; the command ends where one cannot be read."""
    return or_exit(lambda: contents(files_of(paths)))


def parsed(texts: RuleTexts, known_platforms: bool = False) -> Rules:
    """The rules that they spell; the command ends where there are faults."""
    return or_exit(lambda: parse_rules(texts, known_platforms=known_platforms))


def load(paths: Sequence[Path], known_platforms: bool = False) -> Rules:
    """The rules of files and directories; the command ends where there are faults."""
    return parsed(read(paths), known_platforms)


def read_reference(text: str) -> tuple[Place, Tag]:
    """`REGISTRY/REPOSITORY:TAG`; the command ends where it is none."""
    if not names_registry(text):
        raise click.BadParameter(f"{text}: the registry is missing; write REGISTRY/REPOSITORY:TAG")
    try:
        place, tag, _ = reference(text)
    except Refusal as refusal:
        raise click.BadParameter(f"{text}: {refusal.reason}; write REGISTRY/REPOSITORY:TAG") from None
    return place, tag
