"""`registry-mesh completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(epilog="Exit codes: 0 printed; 2 the shell is not known.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print what makes SHELL complete commands and options.

    \b
    Examples:
      registry-mesh completion bash > /etc/bash_completion.d/registry-mesh
      registry-mesh completion zsh > /usr/share/zsh/site-functions/_registry-mesh
      registry-mesh completion fish > ~/.config/fish/completions/registry-mesh.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None, "one of those above"
    root = ctx.find_root().command
    click.echo(kind(root, {}, "registry-mesh", "_REGISTRY_MESH_COMPLETE").source())
