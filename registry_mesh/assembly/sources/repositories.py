"""An origin's repositories over an open store, by its configuration."""

from __future__ import annotations

import time

from registry_mesh.assembly.sources.storage import uploads_of
from registry_mesh.assembly.sources.webhooks import open_outbox
from registry_mesh.config.schema import Config
from registry_mesh.ports.storage import Storage
from registry_mesh.repositories.digest_life import Grace, Lifecycle
from registry_mesh.repositories.of_origin import MayRead, Repositories, nobody
from registry_mesh.repositories.push_policy import PushPolicy


def open_repositories(config: Config, storage: Storage, may_read: MayRead = nobody) -> Repositories:
    """Nothing is begun: closing the storage is enough."""
    pushes = config.pushes
    return Repositories(
        storage.records,
        storage.blobs,
        uploads_of(storage),
        Lifecycle(storage.records, time.time, Grace(period=pushes.grace)),
        PushPolicy(pushes.immutable, pushes.history, pushes.grace, pushes.sparse, pushes.untagged == "keep"),
        may_read,
        pushes.quotas,
        storage.alone,
        open_outbox(config) if config.role == "origin" else None,
    )
