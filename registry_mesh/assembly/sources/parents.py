"""Sessions to parents: one for each address and login, whatever registries go through it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from registry_mesh.assembly.labels import (
    board,
    layout,
    login_key,
    node_name,
    other_servers,
    parent_label,
    parents_of,
)
from registry_mesh.assembly.sources.parent_log import ParentLog
from registry_mesh.auth.hosts import place
from registry_mesh.auth.own_hosts import own_hosts
from registry_mesh.config.registries import CredentialCommand, Registry
from registry_mesh.config.scalars import SecretReference
from registry_mesh.config.schema import Config
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.ports.blobs import BlobSource
from registry_mesh.ports.hops import ONLY_IF_CACHED, SIBLING
from registry_mesh.ports.siblings import Siblings, SiblingServer
from registry_mesh.tasks.last_files import LastFiles
from registry_mesh.telemetry.instruments import Instruments, Table
from registry_mesh.telemetry.logs import FIELDS
from registry_mesh.telemetry.names import (
    HEDGES,
    LIES,
    OTHER,
    PARENT_AVAILABLE,
)
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.health.board import Board, Card
from registry_mesh.upstream.health.liveness import Patience
from registry_mesh.upstream.health.welcome import WelcomeCard
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

BESIDE: Final = Patience(connect=2.0, suspect=0.5, silent=2.0, ping=3.0)
"""With a sibling: it is near, and to do without one that is merely busy moves bytes over the long link again."""

log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """The node's board, and whose rows of it are ours."""

    board: Board
    process: int
    files: LastFiles = field(default_factory=LastFiles)
    """What files said last to the process."""

    def card(self, parent: str) -> Card:
        """What this process notes of a parent, and reads of the others' notes."""
        return self.board.card(parent, self.process)

    def welcome(self, parent: str, registry: Registry) -> WelcomeCard:
        """What it notes of how a parent takes what is shown to it for a registry."""
        return self.board.welcomes.card(parent, login_key(registry), self.process)


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
        self._siblings: dict[str, ParentSession] = {}

    async def __aenter__(self) -> Parents:
        for host, registry in self._config.registries.items():
            name = RegistryName(host)
            await self._open(registry)
            self.groups[name] = [
                [UpstreamRegistry(self._session(url, registry), name) for url in group]
                for group in registry.parents
            ]
        await self._open_siblings()
        if self._sessions or self._siblings:
            sessions = [*self._sessions.values(), *self._siblings.values()]
            probe = Probe([session.parent for session in sessions])
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
        if any(session.name == source for session in [*self._sessions.values(), *self._siblings.values()]):
            self._instruments.counter(LIES, self._sole_registry(source), source).add()

    def _sole_registry(self, parent: str) -> str:
        """The registry that a parent is one of; `OTHER` where it is one of several, for bytes do not say whose."""
        hosts = [host for host in self._config.registries if parent in parents_of(self._config, host)]
        return hosts[0] if len(hosts) == 1 else OTHER

    def paced(self, source: str, rate: float, pause: float) -> None:
        """Write down what bodies of the parent of that name bring, in bytes a second, and for how many seconds it is
        asked after the others for it."""
        if source in self._seen.board.names:
            self._seen.card(source).pace(rate, pause)

    def left(self, source: str, seconds: float) -> None:
        """Have the parent of that name asked for blobs after the others for so long, by all processes of the node."""
        if source in self._seen.board.names:
            self._seen.card(source).outran("blobs", seconds)

    def hedged(self, late: str, outcome: str) -> None:
        """Count what came of asking another parent beside the one of that name."""
        if any(session.name == late for session in self._sessions.values()):
            self._instruments.counter(HEDGES, late, outcome).add()

    def tell(self) -> None:
        """Set the gauges of who is available, siblings too."""
        for session in [*self._sessions.values(), *self._siblings.values()]:
            self._instruments.gauge(PARENT_AVAILABLE, session.name).set(int(session.parent.available))

    def siblings(self, registry: RegistryName) -> Siblings | None:
        """The other servers of the site, as they are asked for a registry; None where there are none."""
        if not self._siblings:
            return None
        others = tuple(
            SiblingServer(
                name,
                session.name,
                session.parent,
                _blobs(UpstreamRegistry(session, registry, dict([SIBLING]))),
                _blobs(UpstreamRegistry(session, registry, dict([SIBLING, ONLY_IF_CACHED]))),
            )
            for name, session in self._siblings.items()
        )
        return Siblings(node_name(self._config), others)

    async def _open_siblings(self) -> None:
        """A session to each, on a way that leads nowhere else."""
        known, others = self._config.siblings, other_servers(self._config)
        if known is None or not others:
            return
        asked = Registry(
            parents=tuple((url,) for url in others.values()),
            credentials=known.credentials, ca=known.ca, certificate=known.certificate, key=known.key,
            proxy="none", ns="always", direct="never",
        )  # fmt: skip
        client = await self._stack.enter_async_context(
            open_session(way_of(asked, list(others.values()), never=True, last=self._seen.files))
        )
        for name, url in others.items():
            self._siblings[name] = self._opened(client, url, asked, "sibling", BESIDE)

    def _opened(
        self,
        client: Client,
        url: str,
        registry: Registry,
        near: str = "",
        patience: Patience | None = None,
    ) -> ParentSession:
        known = registry.credentials
        login = login_of(known, url, self._seen.files) if known is not None else None
        session = ParentSession(
            client,
            url,
            login,
            patience,
            instruments=self._instruments,
            token_service=registry.token_service or "",
            ns=registry.ns,
            card=self._seen.card(parent_label(url)),
            near=near,
            welcome=self._seen.welcome(parent_label(url), registry),
        )
        self._stack.push_async_callback(session.close)
        return session

    async def _open(self, registry: Registry) -> None:
        """A client for the way to the registry's parents, where there is none yet."""
        key = self._way_key(registry)
        if key in self._clients:
            return
        alike = [r for r in self._config.registries.values() if self._way_key(r) == key]
        urls = [url for each in alike for group in each.parents for url in group]
        way = way_of(registry, urls, never=never_direct(self._config, registry), last=self._seen.files)
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
            self._sessions[key] = self._opened(self._clients[self._way_key(registry)], url, registry)
        return self._sessions[key]


def _blobs(registry: UpstreamRegistry) -> Callable[[RepositoryName], BlobSource]:
    return lambda name: registry.repository(name).blobs


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def never_direct(config: Config, registry: Registry) -> bool:
    """Whether nobody but the registry's own hosts may be asked."""
    return (registry.direct or ("never" if config.role == "site" else "public")) == "never"


def way_of(registry: Registry, urls: Sequence[str], *, never: bool, last: LastFiles | None = None) -> Way:
    """The way to the parents at `urls`. The files of certificates are read here, else what they said `last`."""
    tls = None
    if registry.ca or registry.certificate:
        tls = TlsFiles(registry.ca, registry.certificate, registry.key, last=last)
    parents = frozenset(place(url) for url in urls)
    hosts = frozenset(host.lower() for host in registry.redirects)
    return Way(hosts, registry.proxy or "", tls, parents, never, own_hosts(urls))


def login_of(
    configured: SecretReference | CredentialCommand, url: str, last: LastFiles | None = None
) -> Logins:
    """Return the login for the parent at `url`. Nothing is read before it is needed. `last`: see `Logins`."""
    return Logins(_source(configured, url), url, last=last)


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
