"""Sessions to parents: one for each address and credentials, whatever registries go through it."""

from __future__ import annotations

import logging
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from registry_mesh.assembly.labels import layout
from registry_mesh.config.scalars import SecretReference
from registry_mesh.config.schema import Config, Registry
from registry_mesh.oci.reference import RegistryName
from registry_mesh.telemetry.instruments import Instruments, Table
from registry_mesh.telemetry.logs import FIELDS
from registry_mesh.telemetry.names import LIES, PARENT_AVAILABLE
from registry_mesh.upstream.credentials import Credentials, CredentialsInvalid, parse_credentials
from registry_mesh.upstream.probe import Probe
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession, open_session

log: Final = logging.getLogger(__name__)

Groups = list[list[UpstreamRegistry]]


class Parents:
    """All parents of a node. Entered: connections may be made; left: they are closed."""

    def __init__(self, config: Config, instruments: Instruments | None = None) -> None:
        """`instruments` are laid out by `names.layout` of the same configuration."""
        self._config = config
        self._instruments = instruments or Table(layout(config), 1).row(0)
        self._sessions: dict[tuple[str, SecretReference | None], ParentSession] = {}
        self._stack = AsyncExitStack()
        self.groups: dict[RegistryName, Groups] = {}

    async def __aenter__(self) -> Parents:
        self._http = await self._stack.enter_async_context(open_session())
        for host, registry in self._config.registries.items():
            name = RegistryName(host)
            self.groups[name] = [
                [UpstreamRegistry(self._session(url, registry), name) for url in group]
                for group in registry.parents
            ]
        if self._sessions:
            probe = Probe(self._sessions.values())
            probe.start()
            self._stack.push_async_callback(probe.close)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def sessions(self) -> list[ParentSession]:
        return list(self._sessions.values())

    def lied(self, source: str) -> None:
        """Count wrong bytes from the parent of that name."""
        if any(session.name == source for session in self._sessions.values()):
            self._instruments.counter(LIES, source).add()

    def tell(self) -> None:
        """Set the gauges of who is available."""
        available = {session.name: session.available for session in self._sessions.values()}
        for name, yes in available.items():
            self._instruments.gauge(PARENT_AVAILABLE, name).set(int(yes))

    def _session(self, url: str, registry: Registry) -> ParentSession:
        key = (url, registry.credentials)
        if key not in self._sessions:
            credentials = read_credentials(registry.credentials, url) if registry.credentials else None
            self._sessions[key] = ParentSession(self._http, url, credentials, instruments=self._instruments)
        return self._sessions[key]


def read_credentials(reference: SecretReference, url: str) -> Credentials | None:
    """What the reference leads to; None, with a line in the log, where that is nothing."""
    try:
        text = (
            os.environ[reference.target]
            if reference.kind == "env"
            else Path(reference.target).read_text("utf-8")
        )
        return parse_credentials(text, url)
    except (OSError, KeyError, UnicodeDecodeError, CredentialsInvalid) as fault:
        log.error(
            "credentials cannot be used: the parent is asked anonymously",
            extra={FIELDS: {"credentials": str(reference), "parent": url, "why": str(fault)}},
        )
        return None
