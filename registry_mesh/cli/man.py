"""`registry-mesh man`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import click

from registry_mesh import __version__

_FILES: Final = (
    ("/etc/registry-mesh/NAME.yaml", "the configuration of the unit registry-mesh@NAME.service"),
    ("docs/configuration.md", "every key of it"),
)


@click.command(epilog="Exit codes: 0 always.")
@click.pass_context
def command(ctx: click.Context) -> None:
    """Print the manual page, all commands in one.

    \b
    Examples:
      registry-mesh man | man -l -
      registry-mesh man > /usr/share/man/man1/registry-mesh.1
    """
    root = ctx.find_root()
    click.echo("\n".join(page(root)))


def page(root: click.Context) -> Iterator[str]:
    """Lines of roff (man(7)) about the program whose context is `root`."""
    yield f'.TH REGISTRY-MESH 1 "" "registry-mesh {__version__}" "User Commands"'
    yield from (".SH NAME", "registry-mesh \\- a tree of container registries")
    yield from (".SH SYNOPSIS", ".B registry-mesh", "COMMAND [OPTIONS] [ARGUMENTS]", ".SH DESCRIPTION")
    yield from _prose(root.command.help or "")
    yield ".SH COMMANDS"
    for each in _below(root, root.command):
        yield from _command(each)
    yield from _epilog(root.command)
    yield ".SH FILES"
    for name, what in _FILES:
        yield from (".TP", f".I {_text(name)}", _text(what))


def _below(context: click.Context, command: click.Command) -> Iterator[click.Context]:
    """The contexts of all commands that do something, in the order they are listed."""
    if not isinstance(command, click.Group):
        yield context
        return
    for name in command.list_commands(context):
        if (found := command.get_command(context, name)) is not None:
            yield from _below(click.Context(found, parent=context, info_name=name), found)


def _command(context: click.Context) -> Iterator[str]:
    command = context.command
    pieces = " ".join(command.collect_usage_pieces(context))
    name = context.command_path.partition(" ")[2]
    yield from (f'.SS "{_text(name)} {_text(pieces)}"', *_prose(command.help or ""))
    for parameter in command.get_params(context):
        if isinstance(parameter, click.Option) and (record := parameter.get_help_record(context)):
            yield from (".TP", f".B {_text(record[0])}", _text(record[1]))
    yield from _epilog(command)


def _epilog(command: click.Command) -> Iterator[str]:
    if command.epilog:
        yield from (".PP", *_prose(command.epilog))


def _prose(text: str) -> Iterator[str]:
    """Paragraphs; those that begin with click's mark for "as it is" keep their lines."""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines = [line.rstrip() for line in paragraph.splitlines()]
        if lines[0].strip() == "\b":
            yield from (".PP", ".nf", *(_text(line) for line in lines[1:]), ".fi")
        else:
            yield from (".PP", _text(" ".join(line.strip() for line in lines)))


def _text(text: str) -> str:
    """As roff takes it for text: no requests, no escapes, hyphens that can be pasted."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return "\\&" + escaped if escaped[:1] in (".", "'") else escaped
