"""The console script."""

from __future__ import annotations

import click


@click.group()
@click.version_option(package_name="registry-mesh")
def main() -> None:
    """Serve, replicate and cache container images."""
