"""What the commands that work on a store have in common: its configuration, its failures, its exit codes."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from registry_mesh.config.finding import ConfigInvalid, Finding, Mark
from registry_mesh.config.load import load
from registry_mesh.config.schema import Config

EXIT_FAILED: Final = 1
EXIT_INVALID: Final = 2
EXIT_INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True)
class AuditLog:
    """Of the node whose store a command works on."""

    config: Config
    keep: Callable[[str], None]
    """Takes a line."""

    def ran(self, event: str, *said: str) -> None:
        """Say that the command ran, and what it did."""
        from registry_mesh.assembly.sources.audited import ran

        self.keep(ran(self.config, event, getpass.getuser(), *said))


@contextmanager
def audited(config: Config) -> Iterator[AuditLog]:
    """The audit log, open before anything is done; what is wrong with it ends the command."""
    from registry_mesh.telemetry import audit

    with ExitStack() as stack:
        try:
            keep = stack.enter_context(audit.appending(config.log.audit))
        except OSError as fault:
            raise click.ClickException(f"{config.log.audit}: {fault.strerror}") from None
        yield AuditLog(config, keep)


Work = Callable[[Config], Coroutine[Any, Any, int]]


def run(path: Path, roles: tuple[str, ...], work: Work) -> None:
    """Do `work` with the configuration, if it is of one of `roles`, and exit with what it gives."""
    try:
        sys.exit(asyncio.run(_guarded(_loaded(path, roles), work)))
    except ConfigInvalid as invalid:
        click.echo(str(invalid), err=True)
        sys.exit(EXIT_INVALID)
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        sys.exit(EXIT_INTERRUPTED)


def _loaded(path: Path, roles: tuple[str, ...]) -> Config:
    loaded = load(path)
    for warning in (*loaded.lacks, *loaded.warnings):
        click.echo(str(warning), err=True)
    if loaded.config.role not in roles:
        what = f"{loaded.config.role}: this command is for {' and '.join(f'{role}s' for role in roles)}"
        raise ConfigInvalid([Finding(str(path), Mark(1, 1), ("role",), what, "give another configuration")])
    return loaded.config


async def _guarded(config: Config, work: Work) -> int:
    from registry_mesh.assembly.sources.storage import NotBuilt
    from registry_mesh.oci.refusals import Refusal
    from registry_mesh.ports.failures import Failure

    try:
        return await work(config)
    except (Failure, Refusal) as fault:
        click.echo(f"error: {fault.reason}{_subject(fault)}", err=True)
    except NotBuilt as fault:
        click.echo(f"error: {fault}", err=True)
    return EXIT_FAILED


def _subject(fault: Exception) -> str:
    """`: 1.9`, the tag or the repository that a refusal is about, where its sentence does not say it."""
    detail = getattr(fault, "detail", {})
    about = str(detail.get("tag") or detail.get("name") or "")
    return f": {about}" if about and about not in str(fault) else ""


class ProgressLine:
    """A line on a terminal that says what is being done, and goes away."""

    def __init__(self, quiet: bool) -> None:
        self._shown = not quiet and sys.stderr.isatty()

    def __call__(self, text: str) -> None:
        """Show `text` in place of what was shown."""
        if self._shown:
            click.echo(f"\r\x1b[2K{text[:110]}", err=True, nl=False)

    def say(self, text: str) -> None:
        """Print a line that stays."""
        if self._shown:
            click.echo("\r\x1b[2K", err=True, nl=False)
        click.echo(text)
