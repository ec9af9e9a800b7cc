"""`registry-mesh check-config`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

import click

from registry_mesh.cli.serve import foreign
from registry_mesh.config.finding import ConfigInvalid, Finding, Severity
from registry_mesh.config.load import Loaded, load
from registry_mesh.config.rings import find_rings
from registry_mesh.config.rule_files import load_rules, refuse_unheeded, rule_paths
from registry_mesh.config.schema import Config
from registry_mesh.oci.reference import RegistryName

EXIT_INVALID = 2


@click.command(epilog="Exit codes: 0 all can be used; 2 at least one cannot.")
@click.argument("configs", metavar="CONFIG...", nargs=-1, required=True, type=click.Path())
@click.option(
    "--online", is_flag=True, help="Also try every parent and the bucket, step by step; nothing is pulled."
)
def command(configs: tuple[str, ...], online: bool) -> None:
    """Check configuration files without starting anything.

    Every fault of every file is listed as FILE:LINE:COLUMN: KEY: what is wrong; how to mend it. The rule files of a
    replica, or of an origin's retention, are checked with it. Check the nodes of a tree together: it is seen then
    whether they are each other's parents.

    \b
    Example:
      registry-mesh check-config config/site.yaml
    """
    faults: list[Finding] = []
    good = [loaded for path in configs if (loaded := _check(path, online, faults)) is not None]
    rings = find_rings(good)
    for finding in rings:
        click.echo(str(finding), err=True)
    faults += rings
    if faults:
        click.echo(counted(faults))
    sys.exit(EXIT_INVALID if faults else 0)


def counted(faults: Sequence[Finding]) -> str:
    """`3 faults in 1 file.`"""
    files = len({fault.file for fault in faults})
    return f"{len(faults)} fault{'s' * (len(faults) != 1)} in {files} file{'s' * (files != 1)}."


def _check(path: str, online: bool, faults: list[Finding]) -> Loaded | None:
    """What is in the file; None where it cannot be used, and why is added to `faults`."""
    try:
        loaded = load(path).fit()
        if loaded.config.rules is not None:
            load_rules(rule_paths(loaded.config.rules), list(loaded.config.registries))
        if loaded.config.retention.rules is not None:
            _check_retention(loaded.config)
    except ConfigInvalid as invalid:
        for finding in invalid.findings:
            click.echo(str(finding), err=True)
        faults += [each for each in invalid.findings if each.severity is not Severity.WARNING]
        return None
    for warning in (*loaded.warnings, *loaded.room_warnings()):
        click.echo(str(warning), err=True)
    if (reason := _foreign(loaded.config)) is not None:
        faults.append(foreign(loaded, reason))
        click.echo(str(faults[-1]), err=True)
        return None
    if online and (found := asyncio.run(_online(loaded))):
        click.echo("\n".join(map(str, found)), err=True)
        faults += found
        return None
    click.echo(f"{path}: {summary(loaded.config)}")
    return loaded


def _check_retention(config: Config) -> None:
    """`ConfigInvalid` where a rule is wrong, or says what an origin does not do with its own tags."""
    from registry_mesh.assembly.runs.retention import HEEDED

    registries = [config.registry] if config.registry else []
    refuse_unheeded(load_rules(rule_paths(config.retention.rules or ""), registries), HEEDED)


async def _online(loaded: Loaded) -> list[Finding]:
    """What is wrong with each parent and the bucket, at the key that names it."""
    from registry_mesh.assembly.sources.probing import try_all

    return [
        loaded.fault(tried.key, f"{fault.name}: {fault.said}")
        async for tried in try_all(loaded.config)
        if (fault := tried.fault) is not None
    ]


def _foreign(config: Config) -> str | None:
    """What keeps the node from the folder of its store; None where nothing does."""
    from registry_mesh.assembly.sources.storage import check_owner
    from registry_mesh.ports.failures import StoreBroken, StoreForeign

    try:
        asyncio.run(check_owner(config))
    except StoreForeign as fault:
        return fault.reason
    except StoreBroken:
        return None
    return None


def summary(config: Config) -> str:
    """A node in one line."""
    scheme = "https" if config.listen.tls else "http"
    registries = ", ".join(_registries(config)) or "any"
    return (
        f"ok: {config.role} {config.name or ''}".rstrip()
        + f" at {scheme}://{config.listen}, store {config.store}, registries: {registries}"
    )


def _registries(config: Config) -> list[str]:
    if config.registry:
        return [RegistryName(config.registry)]
    return [host + (" (default)" if registry.default else "") for host, registry in config.registries.items()]
