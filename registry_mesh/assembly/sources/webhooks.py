"""Webhooks of an origin by its configuration: where events go in, and the couriers that bring them out."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from registry_mesh.admin.run_status import WebhookStatus
from registry_mesh.assembly.labels import node_name
from registry_mesh.config.scalars import SecretReference
from registry_mesh.config.schema import Config
from registry_mesh.config.webhooks import Receiver as Configured
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.happenings import Journal, Outbox
from registry_mesh.replication.pattern import Pattern
from registry_mesh.replication.rules import Selection
from registry_mesh.replication.subject import Subject
from registry_mesh.tasks.threads import offload
from registry_mesh.telemetry.logs import FIELDS
from registry_mesh.webhooks.courier import Courier, Receiver, open_session, place_of
from registry_mesh.webhooks.outbox import QueuedOutbox, Wish
from registry_mesh.webhooks.queue import Counts, Queue
from registry_mesh.webhooks.recovery import Recovery
from registry_mesh.webhooks.signature import SecretInvalid, key_of

log: Final = logging.getLogger(__name__)

_LOOK = 2.0
"""Seconds between two counts for `/status`."""


def open_outbox(config: Config) -> Outbox | None:
    """Where happenings are told; None where nobody wants to know."""
    if not config.webhooks.receivers:
        return None
    return _outbox(config, _queue(config))


def _outbox(config: Config, queue: Queue) -> QueuedOutbox:
    wishes = [_wish(name, each) for name, each in config.webhooks.receivers.items()]
    source = f"//{config.registry}" if config.registry else f"urn:registry-mesh:{node_name(config)}"
    return QueuedOutbox(queue, wishes, source, config.registry)


class Couriers:
    """Those of a node: of one process alone."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._queue = _queue(config)
        self._couriers: dict[str, Courier] = {}
        self._counts: dict[str, Counts] = {}

    async def follow(self, journal: Journal) -> None:
        """Bring events to all receivers, for ever. `journal`: of the store that they are about."""
        webhooks = self._config.webhooks
        recovery = Recovery(self._queue, _outbox(self._config, self._queue), journal)
        try:
            await self._forget_others()
            async with open_session() as session, asyncio.TaskGroup() as tasks:
                for name, each in webhooks.receivers.items():
                    told = _receiver(name, each, webhooks.keep)
                    self._couriers[name] = Courier(told, self._queue, session, time.time)
                    tasks.create_task(self._couriers[name].follow())
                while True:
                    with suppress(Failure):  # couriers tell of it
                        self._counts = await offload(self._queue.counts)
                        await recovery.look(time.time())
                    await asyncio.sleep(_LOOK)
        finally:
            self._queue.close()

    async def _forget_others(self) -> None:
        """Those who were receivers, and are none any more."""
        try:
            await offload(self._queue.keep, tuple(self._config.webhooks.receivers))
        except Failure as fault:
            log.error("the queue of webhooks cannot be used", extra={FIELDS: {"why": fault.reason}})

    def status(self) -> list[WebhookStatus]:
        """How each receiver does."""
        return [self._status(name, each.url) for name, each in self._config.webhooks.receivers.items()]

    def _status(self, name: str, url: str) -> WebhookStatus:
        counts, courier = self._counts.get(name, Counts()), self._couriers.get(name)
        why, since = (courier.why, courier.failing_since) if courier else ("", 0.0)
        return WebhookStatus(name, place_of(url), counts.waiting, counts.sent, counts.lost, why, since)


def _queue(config: Config) -> Queue:
    assert config.webhooks.queue is not None, "the checks demand it beside receivers"
    return Queue(config.webhooks.queue, config.webhooks.limit)


def _receiver(name: str, configured: Configured, keep: float) -> Receiver:
    proxy = configured.proxy if configured.proxy != "none" else None
    return Receiver(name, configured.url, partial(key_in, configured.secret), keep, proxy, configured.ca)


def _wish(name: str, configured: Configured) -> Wish:
    patterns = tuple(Pattern.parse(each, Subject.REPOSITORY, 2) for each in configured.repositories)
    takes: Callable[[str], bool] = Selection(patterns).__contains__
    return Wish(name, configured.events, takes)


def key_in(secret: SecretReference) -> bytes:
    """The key that signs deliveries. `SecretInvalid`, OSError."""
    if secret.kind == "file":
        return key_of(Path(secret.target).read_text(errors="replace"))
    if secret.target not in os.environ:
        raise SecretInvalid(f"{secret.target} is not in the environment")
    return key_of(os.environ[secret.target])
