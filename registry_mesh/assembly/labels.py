"""What a node is called, and its records; what its metrics' labels may be."""

from __future__ import annotations

import os
import secrets
from urllib.parse import quote

from registry_mesh.config.registries import Registry, Siblings
from registry_mesh.config.schema import Config
from registry_mesh.telemetry.instruments import Layout
from registry_mesh.upstream.health.board import Board


def node_name(config: Config) -> str:
    """The name in the configuration, else the host's."""
    return config.name or os.uname().nodename


def own_record(kind: str, node: str) -> str:
    """The key of a node's record of that kind: several nodes may keep theirs in one bucket."""
    return f"{kind}/{quote(node, safe='').replace('.', '%2E')}"


def layout(config: Config) -> Layout:
    """The metrics table's layout: parents, siblings and registries are closed sets, by configuration."""
    siblings = sibling_labels(config)
    asked = list(dict.fromkeys([*parent_labels(config), *siblings]))
    registries = [*config.registries, *filter(None, [config.registry])]
    currencies = [price.currency for each in config.registries.values() for price in each.prices.values()]
    values = {
        "parent": asked,
        "sibling": siblings,
        "registry": registries,
        "currency": list(dict.fromkeys(currencies)),
    }
    return Layout(values=values, parents={host: parents_of(config, host) for host in config.registries})


def parents_of(config: Config, host: str) -> list[str]:
    """Every parent of a registry, once."""
    groups = config.registries[host].parents
    return list(dict.fromkeys(parent_label(url) for group in groups for url in group))


def board(config: Config, processes: int = 1) -> Board:
    """What so many processes of the node see of its parents. Made before they are forked."""
    forwards = config.role == "site" or (
        config.role == "replica" and config.replication.fallthrough == "pull-through"
    )
    return Board(
        parent_labels(config),
        processes,
        secrets.token_hex(8) if forwards else "",
        sibling_labels(config),
        logins(config),
    )


def logins(config: Config) -> dict[tuple[str, str], list[str]]:
    """The registries that show a parent the same, by the parent and `login_key`. Siblings are of none."""
    found: dict[tuple[str, str], list[str]] = {}
    for host, registry in config.registries.items():
        for parent in parents_of(config, host):
            found.setdefault((parent, login_key(registry)), []).append(host)
    for sibling in sibling_labels(config):
        found.setdefault((sibling, sibling_login_key(config)), [])
    return found


def login_key(shown: Registry | Siblings) -> str:
    """By what a parent judges who asks: the same where it is shown the same."""
    service = shown.token_service if isinstance(shown, Registry) else None
    return repr((shown.credentials, shown.certificate, service))


def sibling_login_key(config: Config) -> str:
    """See `login_key`."""
    return login_key(config.siblings) if config.siblings is not None else ""


def parent_labels(config: Config) -> list[str]:
    """Every parent of every registry, once."""
    groups = [group for registry in config.registries.values() for group in registry.parents]
    return list(dict.fromkeys(parent_label(url) for group in groups for url in group))


def sibling_labels(config: Config) -> list[str]:
    """Every other server of the site."""
    return [parent_label(url) for url in other_servers(config).values()]


def other_servers(config: Config) -> dict[str, str]:
    """The other servers of the site by name, with their addresses."""
    if config.siblings is None:
        return {}
    own = node_name(config)
    return {name: url for name, url in config.siblings.nodes.items() if name != own}


def parent_label(url: str) -> str:
    """HOST:PORT of a parent."""
    return url.partition("://")[2]
