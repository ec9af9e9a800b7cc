"""Which node a command asks: that of a file, of an address, or the only one of this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import click

from registry_mesh.cli.node.asked import EXIT_SILENT
from registry_mesh.cli.node.marks import choose_colour
from registry_mesh.cli.node.way import given

FOLDER: Final = Path("/etc/registry-mesh")
"""Where the units of a machine have their configurations: NAME.yaml is that of registry-mesh@NAME."""
VARIABLE: Final = "REGISTRY_MESH_NODE"
_ENDS: Final = (".yaml", ".yml", ".json")

NODE_HELP: Final = "For CONFIG: a node's NAME here, or its admin URL."
"""On one line of a terminal; `registry-mesh --help` says the rest."""


class OfNode(click.Command):
    """A command whose first argument is CONFIG: it may be left out, or said by `--node`."""

    def __init__(self, *args: object, **named: object) -> None:
        super().__init__(*args, **named)  # type: ignore[arg-type]  # as click has them
        option = click.Option(["--node"], metavar="NAME|URL", help=NODE_HELP, expose_value=False)
        colour = click.Option(
            ["--color"],
            type=click.Choice(["auto", "always", "never"]),
            metavar="WHEN",
            callback=choose_colour,
            expose_value=False,
            help="Marks in colour: auto, always or never.",
        )
        self.params += [option, colour]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put CONFIG first."""
        node, rest = _taken(args)
        if node is not None:
            args = [place(node), *rest]
        elif not {"--help", "-h"} & set(rest) and not any(_is_config(each) for each in rest):
            args = self._with_default(ctx, rest)
        return super().parse_args(ctx, args)

    def _with_default(self, ctx: click.Context, rest: list[str]) -> list[str]:
        known = default()
        if known is not None:
            return [known, *rest]
        if any(not each.startswith("-") for each in rest):
            return rest
        self.make_parser(ctx).parse_args(list(rest))  # an option that is none is told first
        click.echo(_none(), err=True)
        sys.exit(EXIT_SILENT)


def _taken(args: list[str]) -> tuple[str | None, list[str]]:
    """The value of `--node`, and the other arguments."""
    for i, each in enumerate(args):
        if each.startswith("--node="):
            return each.partition("=")[2], [*args[:i], *args[i + 1 :]]
        if each == "--node" and i + 1 < len(args):
            return args[i + 1], [*args[:i], *args[i + 2 :]]
    return None, args


def _is_config(text: str) -> bool:
    return text.endswith(_ENDS) or text == "-" or (not text.startswith("-") and os.path.isfile(text))


def place(node: str) -> str:
    """A node as `--node` says it, as CONFIG: a URL, or a file. `click.UsageError`."""
    if "://" in node or _is_config(node):
        return node
    if ":" in node:
        raise click.UsageError(f"a node elsewhere is named by its address: write http://{node}")
    file = FOLDER / f"{node}.yaml"
    if not file.is_file():
        names = ", ".join(each.stem for each in _files()) or "none"
        raise click.UsageError(f"no node {node} on this machine: {FOLDER} has {names}")
    return str(file)


def default() -> str | None:
    """The node that is asked where none is named; None where there is none. `click.UsageError` where there are
    several."""
    if admin := given().admin:
        return place(admin) if ":" in admin and "://" not in admin else admin
    if named := os.environ.get(VARIABLE):
        return place(named)
    files = _files()
    if len(files) > 1:
        names = ", ".join(each.stem for each in files)
        raise click.UsageError(f"this machine has several nodes: {names}; say which with --node NAME")
    return str(files[0]) if files else None


def _files() -> list[Path]:
    return sorted(FOLDER.glob("*.yaml"))


def _none() -> str:
    return (
        "No node answers on this machine.\n"
        f"  Looked at {FOLDER}/*.yaml: no such file.\n"
        "  Next: name its configuration, or a node: --node https://cache.example:5001"
    )
