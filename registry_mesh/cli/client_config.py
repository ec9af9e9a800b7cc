"""`registry-mesh client-config`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click

from registry_mesh.cli.clients import containerd, docker, k3s, podman
from registry_mesh.cli.clients.edit import Edit, EditRefused, apply_edit, revert_edit
from registry_mesh.cli.clients.mirror import Fallback, Mirror
from registry_mesh.cli.registry_meant import served, serves
from registry_mesh.config.checking.certificates import is_for, names_of
from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.load import load
from registry_mesh.config.schema import Config
from registry_mesh.oci.reference import parse_registry
from registry_mesh.oci.refusals import NameUnknown

_CLIENTS: Final = {"containerd": containerd, "podman": podman, "docker": docker, "k3s": k3s}


@click.command(
    epilog="Exit codes: 0 done; 1 a file that is there cannot be merged; 2 wrong usage or configuration."
)
@click.argument("client", type=click.Choice(list(_CLIENTS)))
@click.argument("site", metavar="SITE")
@click.argument("registries", metavar="[REGISTRY]...", nargs=-1)
@click.option("--url", help="The site's address as clients reach it, where SITE is a file.")
@click.option("--every", is_flag=True, help="Also for registries that are not named (containerd, k3s).")
@click.option(
    "--fallback", type=click.Choice(["direct", "none"]), default="direct", show_default=True,
    help="When the site does not answer: ask the registry itself, or fail.",
)  # fmt: skip
@click.option("--ca", type=click.Path(), help="PEM file on the clients: who signed the site's certificate.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path),
              help="Write the files to this directory instead of printing them.")  # fmt: skip
@click.option("--install", is_flag=True, help="Write them where the client looks for them on this machine.")
@click.option("--remove", is_flag=True, help="With --output or --install: take out again what was written.")
def command(
    client: str,
    site: str,
    registries: tuple[str, ...],
    url: str | None,
    every: bool,
    fallback: Fallback,
    ca: str | None,
    output: Path | None,
    install: bool,
    remove: bool,
) -> None:
    """Point a container client at a site.

    SITE is the site's address (http://HOST:PORT) or its configuration file. REGISTRY is what to pull through it:
    docker.io, registry.cern.example and so on; from the configuration file where none is given.

    Without --output or --install the files are printed. What others wrote in the same files stays, in its order, after
    ours; a file that was there is kept beside the new one.

    \b
    Examples:
      registry-mesh client-config containerd http://cache.site.example:5000 docker.io quay.io
      registry-mesh client-config containerd config/site.yaml --install
      registry-mesh client-config podman http://10.0.0.5:5000 docker.io --output /tmp/conf --fallback none
      registry-mesh client-config k3s http://10.0.0.5:5000 docker.io --install --remove
    """
    if install and output is not None:
        raise click.UsageError("--install and --output exclude each other: which folder is meant?")
    mirror = _mirror(site, registries, url, every, fallback, ca)
    kind = _CLIENTS[client]
    directory = output or (Path(kind.DIRECTORY) if install else None)
    if remove and directory is None:
        raise click.UsageError("--remove needs --output or --install: where are the files?")
    _carry_out(kind.edits(mirror), directory, Path(kind.DIRECTORY), remove)
    if not remove:
        click.echo(_advice(kind.NOTE.format(directory=directory or kind.DIRECTORY), client, mirror), err=True)


def _advice(note: str, client: str, mirror: Mirror) -> str:
    if client == "docker" and (others := [host for host in mirror.registries if host != "docker.io"]):
        note += f"\nDocker will not pull through the site: {', '.join(others)}"
    if client in ("docker", "podman") and mirror.ca:
        place = {"docker": "/etc/docker", "podman": "/etc/containers"}[client]
        note += f"\nCopy {mirror.ca} to {place}/certs.d/{mirror.address}/ca.crt"
    return note


def _carry_out(edits: list[Edit], directory: Path | None, usual: Path, remove: bool) -> None:
    """Write the files to `directory`, or take ours out of them; print them, as those of `usual`, where it is None."""
    try:
        if directory is None:
            _print(usual, edits)
        else:
            _write(directory, edits, revert_edit if remove else apply_edit)
    except (EditRefused, OSError) as refused:
        click.echo(f"error: {refused}", err=True)
        sys.exit(1)


def _print(directory: Path, edits: list[Edit]) -> None:
    for edit in edits:
        click.echo(f"# ---- {directory / edit.path}", err=len(edits) == 1)
        click.echo(edit.apply(""))


def _write(directory: Path, edits: list[Edit], change: Callable[[Path, Edit], Path | None]) -> None:
    for edit in edits:
        path = change(directory, edit)
        click.echo(f"{path}" if path else f"{directory / edit.path}: nothing to change")


def _mirror(
    site: str, registries: tuple[str, ...], url: str | None, every: bool, fallback: Fallback, ca: str | None
) -> Mirror:
    config = None if site.startswith(("http://", "https://")) else _loaded(site)
    asked = registries
    if config is not None:
        url, registries = url or _url(config), registries or tuple(config.registries)
    else:
        url = url or site
    _check_url(url)
    for note in _in_vain(config, url, asked) if config is not None else ():
        click.echo(f"note: {note}", err=True)
    if not (registries or every):
        raise click.UsageError("name at least one registry, such as docker.io, or say --every")
    try:
        hosts = tuple(dict.fromkeys(parse_registry(host) for host in registries))
    except NameUnknown as refusal:
        raise click.UsageError(f"{refusal.detail.get('given')}: {refusal.reason}") from None
    return Mirror(url.rstrip("/"), hosts, fallback, str(Path(ca).absolute()) if ca else None, every)


def _check_url(url: str) -> None:
    """`click.UsageError` where no client could reach anything at `url`."""
    try:
        parts = urlsplit(url)
        fits = parts.hostname and not re.search(r"[\s@?#\x00-\x1f]", url) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or parts.scheme not in ("http", "https"):
        raise click.UsageError(f'"{url}" is no address: write http://HOST:PORT, with a port of 1 to 65535')


def _loaded(path: str) -> Config:
    try:
        return load(path).config
    except ConfigInvalid as invalid:
        click.echo(str(invalid), err=True)
        sys.exit(2)


def _url(config: Config) -> str:
    """Where clients of this machine reach the node, by its configuration."""
    address = config.listen.address
    if address in ("0.0.0.0", "::"):  # noqa: S104 (compared, not bound)
        address = config.name or os.uname().nodename
        click.echo(f"note: it listens on all addresses; taking {address}, or say --url", err=True)
    host = f"[{address}]" if ":" in address else address
    scheme = "https" if config.listen.tls else "http"
    return f"{scheme}://{host}:{config.listen.port}"


def _in_vain(config: Config, url: str, registries: Sequence[str]) -> Iterator[str]:
    """Why clients would pass over the site, which many do without a word."""
    for each in registries:
        if served(each, config) is None:
            yield f"{each} is no registry{serves(config)}: it answers 404, and clients go on to the registry itself"
    tls, host = config.listen.tls, urlsplit(url).hostname or ""
    if tls is None or not url.startswith("https://"):
        return
    own = names_of(tls.certificate)
    if own and not any(is_for(names, host) for names in (own, *(each.names for each in tls.more))):
        yield (
            f"the site's certificate is for {', '.join(own)}, not for {host}: clients refuse it, many without a word; "
            f"say --url https://{own[0].replace('*', 'NAME')}:{config.listen.port}"
        )
