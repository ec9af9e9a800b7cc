"""Sessions to parents: one for each address and login, whatever registries go through it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from registry_mesh.assembly.labels import layout
from registry_mesh.config.scalars import SecretReference
from registry_mesh.config.schema import Config, CredentialCommand, Registry
from registry_mesh.oci.reference import RegistryName
from registry_mesh.telemetry.instruments import Instruments, Table
from registry_mesh.telemetry.names import LIES, PARENT_AVAILABLE
from registry_mesh.upstream.docker_config import server
from registry_mesh.upstream.login_sources import (
    CommandSource,
    FileSource,
    LoginSource,
    VariableSource,
    helper,
)
from registry_mesh.upstream.logins import Logins
from registry_mesh.upstream.probe import Probe
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession, open_session

Groups = list[list[UpstreamRegistry]]
_Key = tuple[str, SecretReference | CredentialCommand | None, str | None]
"""A parent's URL, its login and its token service."""


class Parents:
    """All parents of a node. Entered: connections may be made; left: they are closed."""

    def __init__(self, config: Config, instruments: Instruments | None = None) -> None:
        """`instruments` are laid out by `names.layout` of the same configuration."""
        self._config = config
        self._instruments = instruments or Table(layout(config), 1).row(0)
        self._sessions: dict[_Key, ParentSession] = {}
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
        key = (url, registry.credentials, registry.token_service)
        if key not in self._sessions:
            login = login_of(registry.credentials, url) if registry.credentials is not None else None
            session = ParentSession(
                self._http,
                url,
                login,
                instruments=self._instruments,
                token_service=registry.token_service or "",
            )
            self._stack.push_async_callback(session.close)
            self._sessions[key] = session
        return self._sessions[key]


def login_of(configured: SecretReference | CredentialCommand, url: str) -> Logins:
    """Return the login for the parent at `url`. Nothing is read before it is needed."""
    return Logins(_source(configured, url), url)


def _source(configured: SecretReference | CredentialCommand, url: str) -> LoginSource:
    if isinstance(configured, SecretReference):
        if configured.kind == "env":
            return VariableSource(configured.target)
        return FileSource(Path(configured.target))
    if configured.helper is not None:
        return helper(configured.helper, server(url), configured.timeout, configured.lifetime)
    return CommandSource(
        configured.command,
        username=configured.username or "",
        timeout=configured.timeout,
        lasting=configured.lifetime,
    )
