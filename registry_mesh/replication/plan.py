"""What the rules want of what a source lists, and in which parts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.media_types import INDEXES, MANIFESTS
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.replication.rules import Platform, Platforms, Rule, Rules, union

_ATTESTS: Final = "vnd.docker.reference.digest"
"""BuildKit's annotation: this child of the index attests that other one."""


@dataclass(frozen=True, slots=True)
class Listing:
    """How to learn which repositories of a registry are wanted."""

    registry: RegistryName
    names: frozenset[RepositoryName]
    """Named in full: they need no listing."""
    patterns: bool
    """Some rule has wildcards: the registry must be asked what it has."""


def listings(rules: Rules) -> tuple[Listing, ...]:
    """One for every registry that a rule names."""
    return tuple(_listing(rules, registry) for registry in rules.registries)


def _listing(rules: Rules, registry: RegistryName) -> Listing:
    known = [rule.repositories.names for rule in rules if rule.registry == registry]
    names = frozenset(RepositoryName(name) for some in known if some is not None for name in some)
    return Listing(registry, names, None in known)


def wanted_tags(rules: Iterable[Rule], tags: Iterable[Tag]) -> dict[Tag, Platforms]:
    """Which of a repository's tags are wanted by its rules, and for which platforms."""
    rules = tuple(rules)
    wanted: dict[Tag, Platforms] = {}
    for tag in tags:
        selecting = [rule.platforms for rule in rules if tag in rule.tags]
        if selecting:
            wanted[tag] = union(selecting)
    return wanted


def wanted_children(manifest: Manifest, platforms: Platforms) -> tuple[Descriptor, ...]:
    """The children of an index that belong to it here. The index itself keeps every byte, and so its digest; what
    is not wanted of it is absent. A child without a platform is wanted, and so is what attests a wanted one."""
    children = tuple({child.digest: child for child in manifest.manifests if child.distributable}.values())
    if platforms is None:
        return children
    wanted = {str(child.digest) for child in children if _is_wanted(child, platforms)}
    return tuple(
        child
        for child in children
        if str(child.digest) in wanted and child.annotations.get(_ATTESTS, str(child.digest)) in wanted
    )


def _is_wanted(child: Descriptor, platforms: frozenset[Platform]) -> bool:
    stated = child.platform
    if not stated or "unknown" in (stated.get("os"), stated.get("architecture")):
        return True
    return any(platform.includes(stated) for platform in platforms)


def wanted_blobs(manifest: Manifest) -> tuple[Descriptor, ...]:
    """Config and layers, each once; layers that a registry need not hold are left out."""
    return tuple({blob.digest: blob for blob in manifest.blobs() if blob.distributable}.values())


def is_manifest(descriptor: Descriptor) -> bool:
    """Whether a child of an index is itself a manifest or an index; other children are fetched as blobs."""
    return descriptor.media_type in MANIFESTS | INDEXES


_COMPANION: Final = re.compile(r"(sha256-[0-9a-f]{64}|sha512-[0-9a-f]{128})\.(?:sig|att|sbom)")


def companions(tags: Iterable[Tag]) -> dict[Digest, tuple[Tag, ...]]:
    """The tags by which older cosign hangs signatures, attestations and SBOMs on a digest."""
    found: dict[Digest, tuple[Tag, ...]] = {}
    for tag in tags:
        if match := _COMPANION.fullmatch(tag):
            subject = Digest.parse(match[1].replace("-", ":"))
            found[subject] = (*found.get(subject, ()), tag)
    return found


def is_companion(tag: Tag) -> bool:
    """Whether a tag is one of those."""
    return _COMPANION.fullmatch(tag) is not None
