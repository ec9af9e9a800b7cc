"""A look at the store before a node's processes are made, in a process of its own: threads would not outlive the forks
that come after it."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import NoReturn

from registry_mesh.assembly.sources.storage import enter_store
from registry_mesh.config.schema import Config
from registry_mesh.ports.failures import Failure, StoreForeign


def demand_store(config: Config, *, adopt: bool) -> None:
    """Raise `StoreForeign` where the store is another node's and is not to be taken over (`adopt`). A store that cannot
    be opened is none of this: the processes that open it say why."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        _look(config, adopt, theirs)
    os.close(theirs)
    with open(ours, encoding="utf-8") as told:
        reason = told.read()
    os.waitpid(child, 0)
    if reason:
        raise StoreForeign(reason)


def _look(config: Config, adopt: bool, told: int) -> NoReturn:
    try:
        with suppress(Failure):
            try:
                asyncio.run(enter_store(config, adopt=adopt))
            except StoreForeign as foreign:
                os.write(told, foreign.reason.encode())
    finally:
        os._exit(0)
