"""What `parents --json` gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from registry_mesh.cli.node.asked import Told
from registry_mesh.cli.node.screens import name_of, use_of


def document(
    status: Told, registries: Mapping[str, Told], siblings: Sequence[Told], now: float
) -> dict[str, object]:
    """Each parent and sibling, in the order they are asked, and each registry: fields are only ever added. `state` is
    what a parent is to its registry, as in the table; `answers` whether it does."""
    return {
        "schema": "registry-mesh/parents/1",
        "node": status["name"],
        "role": status["role"],
        "version": status["version"],
        "time": f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "parents": [*_parents(registries), *(_parent(each, "", "sibling") for each in siblings)],
        "registries": [
            {"name": host, **{key: value for key, value in told.items() if key != "parents"}}
            for host, told in registries.items()
        ],
    }


def _parents(registries: Mapping[str, Told]) -> Iterator[dict[str, object]]:
    for host, told in registries.items():
        for group, parents in enumerate(told["parents"], 1):
            yield from (_parent(each, host, group) for each in parents)


def _parent(parent: Told, registry: str, group: int | str) -> dict[str, object]:
    named = {"registry": registry, "name": name_of(parent), "group": group, "state": use_of(parent)}
    return {
        **named,
        **{key: value for key, value in parent.items() if key != "state"},
        "answers": parent["state"],
    }
