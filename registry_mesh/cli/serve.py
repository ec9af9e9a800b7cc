"""`registry-mesh serve`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Final

import click

from registry_mesh.assembly.supervision.handover import VARIABLE
from registry_mesh.assembly.supervision.signals import awaited
from registry_mesh.config.finding import ConfigInvalid, Finding
from registry_mesh.config.load import Loaded, load

_ENDS: Final = (signal.SIGTERM, signal.SIGINT)
_AGAIN: Final = 1.0
"""Seconds between two looks at a file that was spoiled."""

EXIT_CONFIG: Final = 78  # sysexits.h EX_CONFIG: RestartPreventExitStatus=78


@click.command(
    epilog="Exit codes: 0 ended as told; 1 failed; 78 the configuration is invalid, or names what is not here."
)
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--trial", is_flag=True, hidden=True, help="Say whether this could take over, and end.")
@click.option("--adopt", is_flag=True, help="Take over a store that is another node's.")
def command(config: Path, adopt: bool, trial: bool) -> None:
    """Serve the origin, replica or site that CONFIG describes, until SIGTERM or Ctrl-C.

    \b
    Signals:
      TERM, INT  accept nothing more, finish running pulls (at most `drain`), end; twice: end now
      HUP        take over CONFIG, the files that it names and the program as they stand now, by new processes;
                 running pulls go on in the old ones, no connection is refused; what cannot be used changes nothing
      USR1       open the access log anew

    \b
    Example:
      registry-mesh serve config/site.yaml
    """
    loaded = _loaded(config, trial=trial)
    for warning in loaded.warnings:
        click.echo(str(warning), err=True)

    from registry_mesh.assembly.node.new_version import try_to_serve
    from registry_mesh.assembly.node.service import StartFailed, serve
    from registry_mesh.assembly.supervision.loops import LoopMissing
    from registry_mesh.assembly.supervision.sockets import AddressTaken
    from registry_mesh.ports.failures import StoreForeign

    try:
        if trial:
            try_to_serve(loaded.config)
            return
        sys.exit(serve(config, loaded.config, adopt=adopt))
    except StoreForeign as fault:
        click.echo(str(foreign(loaded, fault.reason)), err=True)
        sys.exit(EXIT_CONFIG)
    except (AddressTaken, LoopMissing) as fault:
        click.echo(f"error: {fault}", err=True)
        sys.exit(1)
    except StartFailed as fault:
        click.echo(str(foreign(loaded, str(fault))), err=True)
        sys.exit(EXIT_CONFIG if fault.unfit else 1)


def _loaded(config: Path, *, trial: bool = False) -> Loaded:
    """The configuration; exits where it is invalid. One that took over from another version of the program, whose
    children serve meanwhile, waits for a file that was spoiled since it was tried: to exit would end them."""
    while True:
        try:
            return load(config).fit()
        except ConfigInvalid as invalid:
            click.echo(str(invalid), err=True)
        if trial or VARIABLE not in os.environ or awaited(_ENDS, _AGAIN) is not None:
            sys.exit(EXIT_CONFIG)


def foreign(loaded: Loaded, reason: str) -> Finding:
    """The fault of a configuration whose store is another node's, or cannot be used."""
    return loaded.fault(loaded.config.store.key, reason)
