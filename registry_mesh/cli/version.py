"""`registry-mesh version`."""

from __future__ import annotations

import platform

import click

from registry_mesh import __version__


@click.command(epilog="Exit codes: 0 always.")
def command() -> None:
    """Say which version this is, and which Python runs it."""
    click.echo(f"registry-mesh {__version__}, Python {platform.python_version()}, {platform.platform()}")
