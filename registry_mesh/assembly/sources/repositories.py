"""An origin's repositories over an open store, by its configuration."""

from __future__ import annotations

import time

from registry_mesh.assembly.sources.audited import AuditedOutbox, Keep
from registry_mesh.assembly.sources.storage import uploads_of
from registry_mesh.assembly.sources.webhooks import open_outbox
from registry_mesh.config.schema import Config
from registry_mesh.ports.storage import Storage
from registry_mesh.repositories.digest_life import Grace, Lifecycle
from registry_mesh.repositories.of_origin import MayRead, Repositories, nobody
from registry_mesh.repositories.push_policy import PushPolicy


def open_repositories(
    config: Config, storage: Storage, may_read: MayRead = nobody, keep: Keep | None = None
) -> Repositories:
    """Nothing is begun: closing the storage is enough. `keep`: takes lines of the audit log about what is changed by
    them; None: whoever changes something tells of it."""
    pushes = config.pushes
    outbox = open_outbox(config) if config.role == "origin" else None
    return Repositories(
        storage.records,
        storage.blobs,
        uploads_of(storage),
        Lifecycle(storage.records, time.time, Grace(period=pushes.grace)),
        PushPolicy(pushes.immutable, pushes.history, pushes.grace, pushes.sparse, pushes.untagged == "keep"),
        may_read,
        pushes.quotas,
        storage.alone,
        outbox if keep is None else AuditedOutbox(config, keep, outbox),
    )
