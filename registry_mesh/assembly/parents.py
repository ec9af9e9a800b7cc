"""Sessions to parents: one for each address and login, whatever registries go through it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from registry_mesh.assembly.labels import board, layout, parent_label
from registry_mesh.assembly.parent_log import ParentLog
from registry_mesh.auth.hosts import place
from registry_mesh.auth.own_hosts import own_hosts
from registry_mesh.config.registries import CredentialCommand, Registry
from registry_mesh.config.scalars import SecretReference
from registry_mesh.config.schema import Config
from registry_mesh.oci.reference import RegistryName
from registry_mesh.telemetry.instruments import Instruments, Table
from registry_mesh.telemetry.logs import FIELDS
from registry_mesh.telemetry.names import LIES, PARENT_AVAILABLE
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.health.board import Board, Card
from registry_mesh.upstream.login.docker_config import server
from registry_mesh.upstream.login.login_sources import (
    CommandSource,
    FileSource,
    LoginSource,
    VariableSource,
    helper,
)
from registry_mesh.upstream.login.logins import Logins
from registry_mesh.upstream.probe import Probe
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession
from registry_mesh.upstream.tls_files import TlsFiles
from registry_mesh.upstream.way import Client, Way

Groups = list[list[UpstreamRegistry]]
_Way = tuple[str | None, str | None, str | None, str | None, tuple[str, ...], bool]
"""Proxy, authorities, certificate, key, hosts that are named, and whether no others are asked."""
_Key = tuple[str, SecretReference | CredentialCommand | None, str | None, str, _Way]
"""A parent's URL, its login, its token service, whether `ns` is sent, and the way to it."""

log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """The node's board, and whose rows of it are ours."""

    board: Board
    process: int

    def card(self, parent: str) -> Card:
        """What this process notes of a parent, and reads of the others' notes."""
        return self.board.card(parent, self.process)


class Parents:
    """All parents of a node. Entered: connections may be made; left: they are closed."""

    def __init__(
        self, config: Config, instruments: Instruments | None = None, seen: Seen | None = None
    ) -> None:
        """`instruments` are laid out by `labels.layout` of the same configuration. `seen`: where the node's opinion of
        its parents is kept; None: nobody else's, and the log is told by us."""
        self._alone = seen is None
        self._seen = seen or Seen(board(config), 0)
        self._config = config
        self._instruments = instruments or Table(layout(config), 1).row(0)
        self._clients: dict[_Way, Client] = {}
        self._sessions: dict[_Key, ParentSession] = {}
        self._stack = AsyncExitStack()
        self.groups: dict[RegistryName, Groups] = {}

    async def __aenter__(self) -> Parents:
        for host, registry in self._config.registries.items():
            name = RegistryName(host)
            await self._open(registry)
            self.groups[name] = [
                [UpstreamRegistry(self._session(url, registry), name) for url in group]
                for group in registry.parents
            ]
        if self._sessions:
            probe = Probe(self._sessions.values())
            probe.start()
            self._stack.push_async_callback(probe.close)
        if self._alone:
            log_of_parents = asyncio.create_task(ParentLog(self._seen.board).follow())
            self._stack.push_async_callback(_ended, log_of_parents)
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

    async def _open(self, registry: Registry) -> None:
        """A client for the way to the registry's parents, where there is none yet."""
        key = self._way_key(registry)
        if key in self._clients:
            return
        alike = [r for r in self._config.registries.values() if self._way_key(r) == key]
        urls = [url for each in alike for group in each.parents for url in group]
        way = way_of(registry, urls, never=never_direct(self._config, registry))
        for url in urls:
            if proxy := way.proxy_named(url):
                log.info(
                    "a parent is asked by way of a proxy", extra={FIELDS: {"parent": url, "proxy": proxy}}
                )
        self._clients[key] = await self._stack.enter_async_context(open_session(way))

    def _way_key(self, registry: Registry) -> _Way:
        never = never_direct(self._config, registry)
        return registry.proxy, registry.ca, registry.certificate, registry.key, registry.redirects, never

    def _session(self, url: str, registry: Registry) -> ParentSession:
        key = (url, registry.credentials, registry.token_service, registry.ns, self._way_key(registry))
        if key not in self._sessions:
            login = login_of(registry.credentials, url) if registry.credentials is not None else None
            session = ParentSession(
                self._clients[self._way_key(registry)],
                url,
                login,
                instruments=self._instruments,
                token_service=registry.token_service or "",
                ns=registry.ns,
                card=self._seen.card(parent_label(url)),
            )
            self._stack.push_async_callback(session.close)
            self._sessions[key] = session
        return self._sessions[key]


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def never_direct(config: Config, registry: Registry) -> bool:
    """Whether nobody but the registry's own hosts may be asked."""
    return (registry.direct or ("never" if config.role == "site" else "public")) == "never"


def way_of(registry: Registry, urls: Sequence[str], *, never: bool) -> Way:
    """The way to the parents at `urls`. The files of certificates are read here."""
    tls = None
    if registry.ca or registry.certificate:
        tls = TlsFiles(registry.ca, registry.certificate, registry.key)
    parents = frozenset(place(url) for url in urls)
    hosts = frozenset(host.lower() for host in registry.redirects)
    return Way(hosts, registry.proxy or "", tls, parents, never, own_hosts(urls))


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
