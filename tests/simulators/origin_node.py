"""A real origin that lets anybody do anything: as a document, and running in this process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from registry_mesh.assembly.node.build import Node, running
from registry_mesh.config.load import parse


def origin_document(name: str, store: Path, registry: str, port: int = 0) -> dict[str, Any]:
    """Its configuration. `port` 0: any that is free."""
    return {
        "role": "origin",
        "name": name,
        "listen": {"port": port},
        "admin": {"port": 0},
        "workers": 1,
        "store": {"disk": {"path": str(store)}},
        "registry": registry,
        "access": {"anonymous": "admin"},
    }


@asynccontextmanager
async def running_origin(name: str, folder: Path, registry: str) -> AsyncIterator[Node]:
    """With its store in a folder of its name."""
    document = origin_document(name, folder / name, registry)
    async with running(parse(json.dumps(document), f"{name}.yaml").config) as node:
        yield node
