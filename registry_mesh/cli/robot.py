"""`registry-mesh robot`."""

from __future__ import annotations

import math
import secrets
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn

import click

from registry_mesh.auth.policies import ALLOWS
from registry_mesh.auth.robots import LOGIN, SECRET, digest
from registry_mesh.auth.subjects import is_robot
from registry_mesh.cli.registry_meant import served, serves
from registry_mesh.cli.suggesting import Suggesting
from registry_mesh.config.access_files import private_registries
from registry_mesh.config.checking.host_in_name import misplaced
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.load import load
from registry_mesh.config.robot_files import SUFFIX, load_robots, make_directory, write_robot
from registry_mesh.config.scalars import parse_duration
from registry_mesh.config.schema import Config

EXIT_FAILED: Final = 1
EXIT_INVALID: Final = 2
SHORTEST: Final = 1.0
"""Seconds that a robot lives at least: its end is written in whole seconds."""
CODES: Final = (
    "Exit codes: 0 done; 1 there is one of that name, or none; 2 the command line or a file is wrong."
)

_CONFIG: Final = click.argument("config", type=click.Path(path_type=Path))
_NAME: Final = click.argument("name")


@click.group(cls=Suggesting)
def command() -> None:
    """Make, list and revoke logins for programs."""


@command.command(epilog=CODES)
@_CONFIG
@_NAME
@click.option(
    "--repo", "repos", multiple=True, required=True, help="Pattern of repositories, as in policy files."
)
@click.option(
    "--allow",
    multiple=True,
    default=("pull",),
    type=click.Choice(list(ALLOWS)),
    show_default=True,
    help="What it may do; may stand several times.",
)
@click.option("--registry", "registries", multiple=True, help="Registry it is for; all where absent.")
@click.option("--expires", default="90d", show_default=True, help="How long it lives.")
def create(
    config: Path,
    name: str,
    repos: tuple[str, ...],
    allow: tuple[str, ...],
    registries: tuple[str, ...],
    expires: str,
) -> None:
    """Make a robot, and print the user name and the secret that it logs in with. The secret is shown this once.

    \b
    Example:
      registry-mesh robot create site.yaml atlas-ci --repo 'atlas/**' --allow push --expires 30d
    """
    node = _node(config)
    directory = _of(node, config)
    registries = tuple(_registry(each, node) for each in registries)
    if not is_robot(f"robot:{name}"):
        raise click.BadParameter(f"{name}: a robot's name is of a-z 0-9 . _ -", param_hint="NAME")
    secret, times = SECRET + secrets.token_urlsafe(32), _times(expires)
    try:
        make_directory(directory)
        robot = write_robot(directory, name, digest(secret), times, allow, repos, registries)
    except FileExistsError:
        _fail(f"there is a robot {name} already: revoke it first", EXIT_FAILED)
    except OSError as fault:
        _fail(f"{directory}: {fault.strerror}", EXIT_FAILED)
    except ConfigInvalid as invalid:
        _fail("\n".join(each.what for each in invalid.findings), EXIT_INVALID)
    click.echo(f"user:   {LOGIN}{name}\nsecret: {secret}")
    for note in (*_notes(node, allow, registries), *(": ".join(each) for each in misplaced(robot.entry))):
        click.echo(f"note: {note}", err=True)


def _times(expires: str) -> tuple[datetime, datetime]:
    """Now, and the end of a robot that lives so long."""
    now = datetime.now(UTC)
    try:
        seconds = parse_duration(expires)
        if seconds < SHORTEST:
            raise ValueError("a robot lives for a second at least: write how long, such as 30d")
        return now, datetime.fromtimestamp(math.ceil(now.timestamp() + seconds), UTC)
    except (ValueError, OverflowError) as fault:
        raise click.BadParameter(f"{expires}: {fault}", param_hint="--expires") from None


def _registry(named: str, node: Config) -> str:
    """The registry as policies call it: by none of its other names."""
    if not (node.registries or node.registry):
        return named  # an origin may have no name
    if (found := served(named, node)) is None:
        raise click.BadParameter(f"{named} is no registry{serves(node)}", param_hint="--registry")
    return found


def _notes(node: Config, allow: tuple[str, ...], registries: tuple[str, ...]) -> Iterator[str]:
    """What the robot may not do though its words seem to say so."""
    private = sorted(private_registries(node))
    if private and not registries:
        yield (
            f"it reads nothing of {', '.join(private)}, fetched with credentials of this node: "
            f"revoke it, and make it with --registry {private[0]}"
        )
    if node.role != "origin" and set(allow) - {"pull"}:
        yield f"a {node.role} takes no pushes and no deletes, whatever a robot may do"


@command.command("list", epilog=CODES)
@_CONFIG
def list_(config: Path) -> None:
    """Show every robot: what it may do where, and until when.

    \b
    Example:
      registry-mesh robot list site.yaml
    """
    try:
        robots = load_robots(_directory(config))
    except ConfigInvalid as invalid:
        _fail(str(invalid), EXIT_INVALID)
    for name, kept in robots.items():
        file = kept.file
        where = f" of {', '.join(file.registries)}" if file.registries else ""
        ended = " (over)" if kept.robot.until <= time.time() else ""
        click.echo(
            f"{name}: {', '.join(file.allow)} in {', '.join(file.repos)}{where} until {file.expires}{ended}"
        )


@command.command(epilog=CODES)
@_CONFIG
@_NAME
def revoke(config: Path, name: str) -> None:
    """Take a robot away: it is refused within two seconds, its tokens included.

    \b
    Example:
      registry-mesh robot revoke site.yaml atlas-ci
    """
    path = Path(_directory(config)) / f"{name}{SUFFIX}"
    try:
        if not is_robot(f"robot:{name}"):
            raise FileNotFoundError
        path.unlink()
    except FileNotFoundError:
        _fail(f"there is no robot {name}", EXIT_FAILED)
    except OSError as fault:
        _fail(f"{path}: {fault.strerror}", EXIT_FAILED)
    click.echo(f"revoked {name}")


def _directory(config: Path) -> str:
    return _of(_node(config), config)


def _node(config: Path) -> Config:
    try:
        return load(config).config
    except ConfigInvalid as invalid:
        _fail(str(invalid), EXIT_INVALID)


def _of(node: Config, config: Path) -> str:
    if node.access.robots is None:
        _fail(f"{config}: no directory of robots; add access: {{robots: DIR}}", EXIT_INVALID)
    return node.access.robots


def _fail(said: str, code: int) -> NoReturn:
    click.echo(said, err=True)
    sys.exit(code)
