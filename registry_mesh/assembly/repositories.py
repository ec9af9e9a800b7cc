"""An origin's repositories over an open store, by its configuration."""

from __future__ import annotations

import time

from registry_mesh.assembly.stores import Store, open_uploads
from registry_mesh.config.schema import Config
from registry_mesh.content.publish import PushPolicy
from registry_mesh.stores.lifecycle import Grace, Lifecycle
from registry_mesh.stores.repositories import MayRead, Repositories, nobody


def open_repositories(config: Config, store: Store, may_read: MayRead = nobody) -> Repositories:
    """Nothing is begun: closing the store is enough."""
    pushes = config.pushes
    return Repositories(
        store.records,
        store,
        open_uploads(config, store),
        Lifecycle(store.records, time.time, Grace(period=pushes.grace)),
        PushPolicy(pushes.immutable, pushes.history, pushes.grace, pushes.sparse),
        may_read,
    )
