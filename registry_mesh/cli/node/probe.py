"""`registry-mesh probe`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from registry_mesh.cli.node.asked import loaded
from registry_mesh.config.schema import Config
from registry_mesh.oci.reference import RegistryName, full_name, parse_name, parse_registry, parse_tag
from registry_mesh.oci.refusals import Refusal

if TYPE_CHECKING:
    from registry_mesh.assembly.sources.probing import Image, Tried


@click.command(
    epilog="Exit codes: 0 every step went well; 1 one failed, and is listed; 2 the command line or the configuration "
    "is wrong."
)
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("ref", metavar="[REF]", required=False)
def command(config: Path, ref: str | None) -> None:
    """Try every parent and the bucket of the node that CONFIG describes, step by step, with times.

    Its name, a connection, TLS, whether it is a registry, the login; with REF ([REGISTRY/]REPOSITORY[:TAG]) also a tag,
    its manifest and some bytes of a layer (at most 4 MiB). The node need not run, and is not asked: run this on its
    machine, as its user.

    \b
    Examples:
      registry-mesh probe config/site.yaml
      registry-mesh probe config/site.yaml docker.io/library/alpine:3
    """
    known = loaded(config)
    image = _image(known, ref) if ref else None
    sys.exit(asyncio.run(_probe(known, image)))


def probe(config: Config) -> int:
    """Try all, and say so; 1 where a step failed."""
    return asyncio.run(_probe(config, None))


async def _probe(config: Config, image: Image | None) -> int:
    from registry_mesh.assembly.sources.probing import try_all

    failed, count = 0, 0
    async for tried in try_all(config, image):
        count += 1
        failed += tried.fault is not None
        click.echo("\n".join(lines(tried)))
    if not count:
        click.echo("there is no parent and no bucket to try")
    return 1 if failed else 0


def lines(tried: Tried) -> Iterator[str]:
    """One server: what it is, then a line a step."""
    yield tried.what
    for step in tried.steps:
        yield f"  {'ok  ' if step.well else 'FAIL'}  {step.name:8}  {step.seconds * 1000:6.0f} ms  {step.said}"


def _image(config: Config, ref: str) -> Image:
    """REF as a registry of the configuration, a repository and a tag. `click.UsageError`."""
    first, _, rest = ref.partition("/")
    registry = first if rest and ("." in first or ":" in first or first == "localhost") else ""
    name, colon, tag = (rest if registry else ref).rpartition(":")
    if not colon or "/" in tag:
        name, tag = rest if registry else ref, "latest"
    try:
        host = parse_registry(registry) if registry else _default(config)
        if host not in config.registries:
            raise click.UsageError(
                f"{host} is no registry of this configuration: {', '.join(config.registries) or 'it has none'}"
            )
        return host, full_name(host, parse_name(name)), parse_tag(tag)
    except Refusal as refusal:
        raise click.UsageError(f"{ref}: {refusal.reason}; write [REGISTRY/]REPOSITORY[:TAG]") from None


def _default(config: Config) -> RegistryName:
    found = next((host for host, each in config.registries.items() if each.default), None)
    return RegistryName(found or next(iter(config.registries), ""))
