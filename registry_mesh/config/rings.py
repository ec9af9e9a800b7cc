"""Whether nodes whose configurations are checked together are each other's parents: requests would go round."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from registry_mesh.config.finding import Finding
from registry_mesh.config.finding import Path as KeyPath
from registry_mesh.config.itself import names
from registry_mesh.config.load import Loaded
from registry_mesh.config.schema import Config

_Edge = tuple[KeyPath, int]
"""Where a parent is named, and which of the configurations it is."""


def find_rings(loaded: Sequence[Loaded]) -> list[Finding]:
    """A finding for each parent by which a node is above itself."""
    edges = [list(_edges(each.config, loaded)) for each in loaded]
    return [
        _finding(loaded, index, path, way)
        for index, ours in enumerate(edges)
        for path, parent in ours
        if (way := _way(edges, parent, index)) is not None
    ]


def _finding(loaded: Sequence[Loaded], index: int, path: KeyPath, way: Sequence[int]) -> Finding:
    nodes = " -> ".join(_called(loaded[each]) for each in (index, *way))
    return loaded[index].fault(
        path, f"leads back to this node: {nodes}", "one of them must not name the other as its parent"
    )


def _called(loaded: Loaded) -> str:
    return loaded.document.file if loaded.document is not None else loaded.config.name or ""


def _way(edges: Sequence[Sequence[_Edge]], start: int, goal: int) -> list[int] | None:
    """The shortest way from `start` up to `goal`, both included; None where there is none."""
    ways = {start: [start]}
    todo = [start]
    for here in todo:
        if here == goal:
            return ways[here]
        for _, parent in edges[here]:
            if parent not in ways:
                ways[parent] = [*ways[here], parent]
                todo.append(parent)
    return None


def _edges(config: Config, loaded: Sequence[Loaded]) -> Iterator[_Edge]:
    """Of a node that hands requests on: others answer by what they hold alone."""
    if config.role == "origin" or (
        config.role == "replica" and config.replication.fallthrough != "pull-through"
    ):
        return
    for host, registry in config.registries.items():
        for i, group in enumerate(registry.parents):
            for j, url in enumerate(group):
                for index, other in enumerate(loaded):
                    if other.config is not config and _is(other.config, url):
                        yield ("registries", host, "parents", i, j), index


def _is(config: Config, url: str) -> bool:
    """Whether the URL is, as far as its text tells, where that node listens. A node that listens everywhere is known by
    its name alone: several may have the same port, on machines of their own."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if port != config.listen.port:
        return False
    address = config.listen.address
    if address in ("0.0.0.0", "::"):  # noqa: S104 (compared, not bound)
        return bool(config.name) and (parts.hostname or "") == (config.name or "").lower()
    return (parts.hostname or "") in names(address, config.name)
