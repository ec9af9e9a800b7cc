"""The half of a node that answers clients. Several of them, in processes of their own, serve one port."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from socket import socket
from typing import Final

from registry_mesh.assembly.access.access_books import AccessBooks
from registry_mesh.assembly.access.policy_in_force import NodeAccess, token_key
from registry_mesh.assembly.access.pull_keeping import PullKeeping
from registry_mesh.assembly.access.revocations import NodeRevocations
from registry_mesh.assembly.access.tls import ListenerTls, listener_tls
from registry_mesh.assembly.labels import layout, node_name
from registry_mesh.assembly.node.background import Job, in_background
from registry_mesh.assembly.sources.parents import Parents, Seen
from registry_mesh.assembly.sources.roles import default_registry, open_role
from registry_mesh.assembly.sources.storage import open_storage
from registry_mesh.assembly.supervision import file_limit
from registry_mesh.assembly.supervision.told import Told
from registry_mesh.assembly.watch.moving import BODIES, MovingTold
from registry_mesh.assembly.watch.reached import is_reached
from registry_mesh.config.limits import Limits
from registry_mesh.config.schema import Config
from registry_mesh.edge import client_limits as client
from registry_mesh.edge import pull_reports, revocations
from registry_mesh.edge.dispatch import Handler
from registry_mesh.edge.hot import entries as hot
from registry_mesh.edge.server import Server
from registry_mesh.edge.settings import Settings
from registry_mesh.ports.role import Role
from registry_mesh.ports.storage import DiskCounts, LocalDisk, Storage
from registry_mesh.roles.site import Site
from registry_mesh.tasks.last_files import LastFiles
from registry_mesh.telemetry.instruments import Instruments, Table
from registry_mesh.telemetry.names import (
    EVICTED_BYTES,
    FILL_READERS,
    FILLS,
    REFETCHED_BYTES,
    REQUESTS_LIMIT,
    ROTTEN,
)

_TELL: Final = 1.0
"""Seconds between two looks at how parents fare."""


class Worker:
    """Started, drained, closed once each."""

    def __init__(
        self,
        config: Config,
        instruments: Instruments | None = None,
        seen: Seen | None = None,
        key: bytes | None = None,
        told: Told | None = None,
    ) -> None:
        """`seen`: see `Parents`. `key` signs tokens: one for all workers of a node. `ConfigInvalid`, `KeyInvalid`."""
        self._config = config
        self._seen = seen
        self._told = told or Told()
        self._instruments = instruments or Table(layout(config), 1).row(0)
        self._stack = AsyncExitStack()
        self._revocations = NodeRevocations(node_name(config), self._told.revoked, keeps=self._is_first)
        books = AccessBooks(config, self._told.last_access(self._is_first), self._tell_access)
        self._access = NodeAccess(config, key or token_key(config), self._revocations, books)
        self._files = seen.files if seen is not None else LastFiles()
        self._pulls = PullKeeping(config.pulls, last=self._files)
        self._counted = DiskCounts(0, 0, 0)
        """What of the disk's counts is in the table."""
        self._role: Role | None = None
        self.server: Server | None = None
        self.parents: Parents | None = None

    async def start(self, listener: socket, *more: socket) -> None:
        """Serve on `listener`, and on `more`. `StoreBroken`, `NotBuilt`; nothing is left behind then."""
        async with AsyncExitStack() as stack:
            storage = await open_storage(self._config, last=self._files)
            storage.note_uses()
            stack.push_async_callback(storage.close)
            await self._access.begin(storage.records)
            self._role, self.parents = await open_role(
                self._config, storage, stack, self._instruments, self._access, self._seen
            )
            extensions = self._extensions()
            settings = self._settings(storage)
            self.server = Server(self._role, settings, extensions=extensions, instruments=self._instruments)
            self._instruments.gauge(REQUESTS_LIMIT).set(settings.max_streams)
            tls = listener_tls(self._config.listen, self._files)
            context = tls.context if tls is not None else None
            await self.server.start(listener, ssl=context)
            for each in more:
                self.server.listen(each, context)
            stack.push_async_callback(self._pulls.flush, self.server.take_pulls)
            stack.push_async_callback(self.server.close)
            if self._is_first:
                self._access.audit = self.server.audit
            for job in self._background(self.server, storage.disk, tls):
                await stack.enter_async_context(in_background(job))
            self._stack = stack.pop_all()

    def _extensions(self) -> dict[str, Handler]:
        telling = {revocations.NAME: revocations.telling(lambda: self._revocations.told)}
        reporters = self._config.pulls.reporters
        if not self._pulls.keeps or not reporters:
            return telling
        taking = pull_reports.taking(self._pulls, reporters, node_name(self._config))
        return {**telling, pull_reports.NAME: taking}

    @property
    def _is_first(self) -> bool:
        """Whether it is the one that does what one process of a node does."""
        return self._seen is None or self._seen.process == 0

    def _background(self, server: Server, disk: LocalDisk | None, tls: ListenerTls | None) -> list[Job]:
        jobs: list[Job] = [
            partial(self._tell, disk),
            self._access.watch,
            self._access.follow_keys,
            partial(self._pulls.follow, server.take_pulls),
            *([partial(tls.follow, server.part)] if tls is not None else []),
        ]
        if self._is_first and self.parents is not None:
            jobs.append(partial(self._pulls.report, self.parents))
            jobs.append(partial(self._revocations.follow, self.parents))
        return jobs

    def _is_reached(self, registry: str) -> bool:
        return self._seen is not None and is_reached(self._config, self._seen.board, registry)

    def _settings(self, storage: Storage) -> Settings:
        return Settings(
            name=node_name(self._config),
            node=self._seen.board.node if self._seen else "",
            above=self._seen.board.above if self._seen else list,
            cut_off=partial(self._told.cut_off, self._is_reached),
            policy=self._access,
            tokens=self._access if self._access.has_logins else None,
            default_registry=default_registry(self._config),
            read_only=self._config.pushes.read_only,
            manifest_limit=self._config.pushes.manifest_limit,
            redirect_from=storage.redirect_from,
            access_log=self._config.log.access,
            audit_log=self._config.log.audit,
            max_connections=self._config.limits.connections,
            client_limits=client_limits(self._config.limits),
            certified=self._config.listen.tls is not None and self._config.listen.tls.clients is not None,
            count_pulls=self._pulls.keeps,
            explain=self._told.explain,
            report=partial(self._told.report, self._seen.process if self._seen else 0),
            descriptors=file_limit.limit(),
            hot_files=min(hot.MOST, file_limit.limit() // file_limit.HOT),
        )

    def forget(self) -> None:
        """Forget what is remembered of tags: records, or parents, say it anew."""
        if isinstance(self._role, Site):
            self._role.forget()
        if self.server is not None and self.server.hot is not None:
            self.server.hot.forget_manifests()

    def _tell_access(self, faults: Sequence[str]) -> None:
        if self._is_first:
            self._told.refuse_access(faults)

    async def _tell(self, disk: LocalDisk | None) -> None:
        """Keep true what is not counted where it happens."""
        evicted, rotten = self._instruments.counter(EVICTED_BYTES), self._instruments.counter(ROTTEN)
        refetched = self._instruments.counter(REFETCHED_BYTES)
        row = self._seen.process if self._seen else 0
        moving = MovingTold(self._told.moving[row])
        while True:
            if self.parents is not None:
                self.parents.tell()
            if self.server is not None:
                fills = self._role.moving() if isinstance(self._role, Site) else ()
                moving.tell(fills, *self.server.sending(BODIES))
            if isinstance(self._role, Site):
                self._instruments.gauge(FILLS).set(self._role.filling)
                for each in self._role.fills.unkept.take():
                    self._told.unkept(row, str(each.place or ""), str(each.digest), each.size, each.times)
                self._instruments.gauge(FILL_READERS).set(self._role.following)
            if disk is not None:
                now = disk.counts
                evicted.add(now.evicted_bytes - self._counted.evicted_bytes)
                rotten.add(now.rotten - self._counted.rotten)
                refetched.add(now.refetched_bytes - self._counted.refetched_bytes)
                self._counted = now
            await asyncio.sleep(_TELL)

    def reopen(self) -> None:
        """Go on with the access log in the file that has its name now."""
        if self.server is not None:
            self.server.reopen_log()

    async def drain(self, seconds: float, *, replaced: bool = False) -> None:
        """Accept nothing more; let bodies on their way go on for so long. `replaced`: others serve in our place."""
        if self.server is not None:
            await self.server.drain(seconds, replaced=replaced)

    async def close(self) -> None:
        """Answer what is under way, then close every part."""
        await self._stack.aclose()


def client_limits(limits: Limits) -> client.Limits:
    """What each client may have."""
    return client.Limits(
        limits.client_connections,
        float(limits.client_requests),
        float(limits.client_bytes),
        float(limits.client_unknown),
        limits.exempt,
    )
