"""Pushes that an origin tells a node with rules of: who may, and what becomes of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Final, Protocol

from registry_mesh.assembly.sources.webhooks import key_in
from registry_mesh.config.schema import Config
from registry_mesh.oci.reference import parse_name, parse_registry
from registry_mesh.oci.refusals import Refusal
from registry_mesh.ports.place import Place
from registry_mesh.tasks.threads import offload
from registry_mesh.telemetry.logs import FIELDS
from registry_mesh.webhooks.signature import SecretInvalid, is_signed

log: Final = logging.getLogger(__name__)


class Runs(Protocol):
    """Those of a node's rules, that somebody may ask for."""

    async def ask(self, place: Place) -> bool:
        """Run soon what rules take of a repository; False where none takes anything of it."""
        ...

    async def ask_all(self) -> None:
        """Run all soon."""
        ...


class Announced:
    """Implements `admin.runs.RunsAsked`."""

    def __init__(self, config: Config, runs: Runs) -> None:
        self._secret = config.replication.webhook_secret
        self._runs = runs
        self._why = ""

    async def is_signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        """By `replication.webhook_secret`, which is read anew."""
        if self._secret is None:
            return False
        try:
            key = await offload(key_in, self._secret)
        except (OSError, SecretInvalid) as fault:
            self._tell(str(fault))
            return False
        self._why = ""
        return is_signed(key, headers, body, time.time())

    def _tell(self, why: str) -> None:
        """Say once why nobody can tell of a push."""
        if why != self._why:
            log.error("replication.webhook_secret cannot be used", extra={FIELDS: {"why": why}})
        self._why = why

    async def ask(self, registry: str, repository: str) -> bool:
        """False for what no name can be, too."""
        try:
            return await self._runs.ask(Place(parse_registry(registry), parse_name(repository)))
        except Refusal:
            return False

    async def ask_all(self) -> None:
        """At once, or when the run under way has ended."""
        await self._runs.ask_all()
