"""Where a configuration file names each parent."""

from __future__ import annotations

from collections.abc import Mapping

from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.load import load


def parent_places(path: str) -> Mapping[tuple[str, str], str]:
    """`FILE:LINE` of each parent in the file at `path`, by its registry and URL; none where it cannot be used now."""
    try:
        loaded = load(path)
    except ConfigInvalid:
        return {}
    document = loaded.document
    assert document is not None, "loaded from a file"
    return {
        (host, url): f"{document.file}:{document.mark(('registries', host, 'parents', row, column)).line}"
        for host, registry in loaded.config.registries.items()
        for row, group in enumerate(registry.parents)
        for column, url in enumerate(group)
    }
