"""`registry-mesh rules import`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from registry_mesh.cli.rule_options import EXIT_INVALID, EXIT_LOOK, or_exit
from registry_mesh.config.imports.entry import differences, written
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
def import_(tool: str, file: Path, registries: tuple[str, ...], check: Path | None) -> None:
    """Write the rules that FILE of another TOOL says, on standard output. An entry is carried whole or refused whole;
    refusals stand as comments at their place.

    \b
    Example:
      registry-mesh rules import ducc recipe.yaml > rules/unpacked.yaml
    """
    hosts = dict(each.partition("=")[::2] for each in registries)
    text = file.read_text(encoding="utf-8", errors="replace")
    found = or_exit(lambda: imported(tool, text, str(file), hosts))
    refused = [each for each in found if each.rule is None]
    if check is not None:
        tags = check.read_text(encoding="utf-8").split()
        differing = list(differences(found, tags))
        for line in differing:
            click.echo(line)
        compared = sum(each.entry.selects is not None and each.rule is not None for each in found)
        click.echo(f"{compared} patterns compared over {len(tags):,} tags: {len(differing)} differences")
        sys.exit(EXIT_LOOK if differing else 0)
    for line in written(found):
        click.echo(line)
    said = f"{len(found)} entries: {len(found) - len(refused)} rules, {len(refused)} refused"
    click.echo(said, err=True)
    sys.exit(EXIT_INVALID if not found else EXIT_LOOK if refused else 0)
