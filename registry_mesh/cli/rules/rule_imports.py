"""`registry-mesh rules import`."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import click

from registry_mesh.cli.rules.rule_options import EXIT_LOOK, or_exit
from registry_mesh.config.files import content_of
from registry_mesh.config.imports.entry import (
    Imported,
    Kind,
    compared,
    configuration,
    differences,
    told,
    written,
)
from registry_mesh.config.imports.source import decoded_file
from registry_mesh.config.imports.tools import NAMES, imported


@click.command(
    "import",
    epilog="Exit codes: 0 all is carried over; 1 something is refused, or differs; 2 the file is wrong.",
)
@click.argument("tool", type=click.Choice(NAMES))
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--registry", "registries", multiple=True, help="NAME=HOST, for tools that number or name registries."
)
@click.option(
    "--check",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file of tags, one a line: show where the tool's own way of matching differs.",
)
@click.option(
    "--configuration",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write what is no rule but registries: of a site or replica; else it stands in comments at the end.",
)
def import_(
    tool: str, file: Path, registries: tuple[str, ...], check: Path | None, configuration: Path | None
) -> None:
    """Write the rules that FILE of another TOOL says, on standard output. An entry is carried whole or refused whole;
    refusals stand as comments at their place, and on standard error.

    \b
    Example:
      registry-mesh rules import ducc recipe.yaml > rules/unpacked.yaml
    """
    hosts = dict(each.partition("=")[::2] for each in registries)
    content = or_exit(lambda: content_of(file))
    found = or_exit(lambda: imported(tool, content, str(file), hosts))
    if check is not None:
        tags = or_exit(lambda: decoded_file(content_of(check), str(check))).split()
        sys.exit(_show_differences(found, tags))
    for line in written(found, str(file)):
        click.echo(line)
    _show_configuration(found, configuration, str(file))
    refused = [each for each in found if each.refused]
    for each in refused:
        click.echo(f"refused: {told(each, str(file))}", err=True)
    click.echo(_sum(found, len(refused)), err=True)
    sys.exit(EXIT_LOOK if refused else 0)


def _show_differences(found: list[Imported], tags: list[str]) -> int:
    differing = list(differences(found, tags))
    for line in differing:
        click.echo(line)
    count = len(compared(found))
    click.echo(f"{count} patterns compared over {len(tags):,} tags: {len(differing)} differences")
    return EXIT_LOOK if differing else 0


def _show_configuration(found: list[Imported], path: Path | None, file: str) -> None:
    lines = configuration(found)
    if not lines:
        return
    head = f"# Not rules: registries of the configuration of a site or replica, as {file} says them."
    if path is not None:
        path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
        click.echo(f"{path}: written, to be put into the configuration of a site or replica", err=True)
        return
    click.echo(head)
    for line in lines:
        click.echo(f"# {line}")


def _sum(found: list[Imported], refused: int) -> str:
    kinds = Counter(each.entry.kind for each in found if not each.refused)
    others = {Kind.DENY: "denied", Kind.PARENTS: "in the configuration"}
    more = "".join(f", {kinds[kind]} {word}" for kind, word in others.items() if kinds[kind])
    return f"{len(found)} entries: {kinds[Kind.RULE]} rules{more}, {refused} refused"
