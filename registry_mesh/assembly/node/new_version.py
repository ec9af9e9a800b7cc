"""Another version of the program takes over from this one, in the same process."""

from __future__ import annotations

import base64
import logging
import os
from typing import Final

from registry_mesh import __version__
from registry_mesh.assembly.node.generation import Generation
from registry_mesh.assembly.node.preflight import demand_store
from registry_mesh.assembly.supervision.handover import Handover, tried
from registry_mesh.assembly.supervision.loops import loop_factory
from registry_mesh.assembly.supervision.sockets import AddressTaken, Sockets
from registry_mesh.config.schema import Config
from registry_mesh.telemetry.logs import FIELDS

log: Final = logging.getLogger(__name__)


def hand_over(
    generation: Generation,
    sockets: Sockets,
    words: list[str],
    version: str,
    pids: list[int],
    leaving: list[int],
) -> str:
    """Become the program as it is installed now; why it cannot take over, where this returns. `words`, `pids` and
    `leaving`: see `Handover`."""
    handover = Handover(
        generation.number,
        sockets.listen,
        sockets.admin,
        [each.fileno() for each in sockets.serving],
        sockets.operating.fileno(),
        pids,
        leaving,
        base64.b64encode(generation.key or b"").decode(),
    )
    with handover.given() as descriptors:
        return tried(words, descriptors) or _become(generation, words, version)


def _become(generation: Generation, words: list[str], version: str) -> str:
    """Run the other program in this process; why that failed, where it returns."""
    log.info("another version takes over", extra={FIELDS: {"version": version, "instead_of": __version__}})
    for seat in generation.seats.all:
        seat.replace()
    try:
        os.execv(words[0], words)
    except OSError as fault:
        for seat in generation.seats.all:
            seat.stay()
        return str(fault)


def sockets_left(handed: Handover) -> Sockets:
    """Those of the version before."""
    return Sockets(*handed.sockets(), handed.listen, handed.admin)


def moved_if_free(left: Sockets, config: Config) -> tuple[Sockets, str]:
    """Those that `config` wants, or those that were `left` and why: an address that was free when this version was
    tried may be taken by now, and there is no going back."""
    try:
        return left.moved(config), ""
    except AddressTaken as fault:
        return left, f"{fault}: the node stays at its addresses"


def try_to_serve(config: Config) -> None:
    """Return where `serve` could begin, with what another version that serves hands over. `AddressTaken`,
    `LoopMissing`, `StoreForeign`."""
    handed = Handover.taken()
    loop_factory(config.loop)
    demand_store(config, adopt=False)
    if handed is not None:
        sockets_left(handed).moved(config).close()
