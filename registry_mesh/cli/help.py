"""`registry-mesh help`."""

from __future__ import annotations

import click


@click.command(epilog="Exit codes: 0 shown; 2 there is no such command.")
@click.argument("words", metavar="[COMMAND]...", nargs=-1)
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Say what a command does, as its --help.

    \b
    Example:
      registry-mesh help rules lint
    """
    here = ctx.find_root()
    for word in words:
        group = here.command
        found = group.resolve_command(here, [word])[1] if isinstance(group, click.Group) else None
        if found is None:
            raise click.UsageError(f"{here.command_path} has no command {word}")
        here = click.Context(found, parent=here, info_name=word)
    click.echo(here.command.get_help(here))
