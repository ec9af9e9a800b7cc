"""Whether a registry is reached by its parents at this moment: sooner known than what findings say of it."""

from __future__ import annotations

import time

from registry_mesh.assembly.labels import parent_label
from registry_mesh.config.schema import Config
from registry_mesh.ports.cut_off import parsed
from registry_mesh.ports.standing import State
from registry_mesh.upstream.health.board import Board


def is_reached(config: Config, board: Board, host: str) -> bool:
    """Whether a parent of the registry answers and says of itself that it reaches what is above it. False for a
    registry that is not served here."""
    registry, now = config.registries.get(host), time.monotonic()
    for url in [url for group in registry.parents for url in group] if registry is not None else []:
        sheet = board.sheet(parent_label(url))
        if sheet.standing(now).state is State.UP and host not in parsed(sheet.cut_off()):
            return True
    return False
