"""What a node is called, and what its metrics' labels may be."""

from __future__ import annotations

import os

from registry_mesh.config.schema import Config
from registry_mesh.telemetry.instruments import Layout


def node_name(config: Config) -> str:
    return config.name or os.uname().nodename


def layout(config: Config) -> Layout:
    """The metrics table's layout: parents are a closed set, by configuration."""
    urls = {
        url: None for registry in config.registries.values() for group in registry.parents for url in group
    }
    return Layout(values={"parent": [parent_label(url) for url in urls]})


def parent_label(url: str) -> str:
    """HOST:PORT of a parent."""
    return url.partition("://")[2]
