"""Which registry of a node, and which repository, a person means."""

from __future__ import annotations

import click

from registry_mesh.auth.policies import Policies
from registry_mesh.config.schema import Config
from registry_mesh.oci.reference import (
    RegistryName,
    RepositoryName,
    full_name,
    parse_name,
    parse_registry,
)
from registry_mesh.oci.refusals import Refusal


def named(ref: str, node: Config | None, policies: Policies) -> tuple[RegistryName, RepositoryName]:
    """The registry and the repository that `ref` means. What may be read in two ways is not guessed: a registry taken
    for a part of a repository's name, or a part for a registry, would make a wrong verdict."""
    first, _, rest = ref.partition("/")
    try:
        registry = _registry(first, node, policies)
        if registry is None and node is not None:
            registry, rest = _default(node), ref
        if registry is None:
            at = f"REGISTRY/{ref}" if node is None or "." not in first else "REGISTRY/REPOSITORY"
            raise click.BadParameter(f"{ref}: {first} is no registry{serves(node)}; write {at}")
        return registry, full_name(registry, parse_name(rest.partition(":")[0].partition("@")[0]))
    except Refusal as refusal:
        raise click.BadParameter(f"{ref}: {refusal.reason}; write REGISTRY/REPOSITORY") from None


def _registry(first: str, node: Config | None, policies: Policies) -> RegistryName | None:
    """The registry that the first part of a reference names; None where it names none. Without a node it is one by its
    looks, as for clients, or because a policy names it."""
    looks = "." in first or ":" in first or first == "localhost"
    if node is None and not looks:
        spoken = {host for entry in policies.entries for host in entry.registries or ()}
        return RegistryName(first) if first in spoken else None
    if node is None:
        return parse_registry(first)
    there = served(first, node)
    if there is None and looks:
        raise click.BadParameter(f"{first} is no registry{serves(node)}")
    return there


def served(host: str, node: Config) -> RegistryName | None:
    """The registry of the node that is called so, by whatever of its names; None where it serves none."""
    try:
        known = parse_registry(host)
    except Refusal:
        return None
    if known == _own(node) or known in node.registries:
        return known
    aliased = (RegistryName(each) for each, has in node.registries.items() if known in has.aliases)
    return next(aliased, None)


def _own(node: Config) -> RegistryName | None:
    return RegistryName(node.registry or "origin") if node.role == "origin" else None


def _default(node: Config) -> RegistryName | None:
    """What is meant where no registry is named."""
    named = (RegistryName(host) for host, each in node.registries.items() if each.default)
    return _own(node) or next(named, None)


def serves(node: Config | None) -> str:
    """What follows `X is no registry`."""
    if node is None:
        return "'s name"
    own = _own(node)
    return f" of this node, which serves {', '.join([own] if own else node.registries)}"
