"""What the rules want of what a source lists, and in which parts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.mentions import Kind, Mention, Mentions, Unreadable
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag, is_name
from registry_mesh.replication.rules import Platform, Platforms, Rule, Rules

_ATTESTS: Final = "vnd.docker.reference.digest"
"""BuildKit's annotation: this child of the index attests that other one."""


@dataclass(frozen=True, slots=True)
class Listing:
    """How to learn which repositories of a registry are wanted."""

    registry: RegistryName
    names: frozenset[RepositoryName]
    """Told by patterns that match few names: they need no listing."""
    exact: frozenset[RepositoryName]
    """Those of them that are written in full."""
    patterns: bool
    """Some rule has wildcards: the registry must be asked what it has."""


def listings(rules: Rules) -> tuple[Listing, ...]:
    """One for every registry that a rule names."""
    return tuple(_listing(rules, registry) for registry in rules.registries)


def _listing(rules: Rules, registry: RegistryName) -> Listing:
    chosen = [rule.repositories for rule in rules if rule.registry == registry]
    names = frozenset(name for each in chosen for name in each.names if is_name(name))
    exact = frozenset(RepositoryName(name) for each in chosen for name in each.exact)
    return Listing(
        registry, frozenset(map(RepositoryName, names)), exact, any(each.is_open for each in chosen)
    )


def selecting(rules: Iterable[Rule], tags: Iterable[Tag]) -> dict[Tag, tuple[Rule, ...]]:
    """Which of a repository's tags are wanted, and by which of its rules."""
    rules = tuple(rules)
    found = {tag: tuple(rule for rule in rules if tag in rule.tags) for tag in tags}
    return {tag: by for tag, by in found.items() if by}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a document belongs here, each digest once, and what the rules leave out of it."""

    mentions: tuple[Mention, ...]
    left_out: tuple[Mention, ...]
    unreadable: tuple[Unreadable, ...]
    """What belongs here and cannot be brought."""


def wanted(found: Mentions, platforms: Platforms) -> Wanted:
    """All that a document names, but of the manifests of an index those for `platforms` alone. The index itself keeps
    every byte, and so its digest; what is not wanted of it is absent. A child without a platform is wanted, and so is
    what attests a wanted one."""
    if platforms is None or not found.is_index:
        return Wanted(_once(found.named), (), found.unreadable)
    chosen = {str(each.digest) for each in found.named if _is_wanted(each, platforms)}
    belong = [
        each
        for each in found.named
        if str(each.digest) in chosen and (attested(each) or str(each.digest)) in chosen
    ]
    here = {each.digest for each in belong}
    left = [each for each in found.named if each.digest not in here]
    unreadable = tuple(each for each in found.unreadable if _fits(each.platform, platforms))
    return Wanted(_once(belong), _once(left), unreadable)


def _once(found: Iterable[Mention]) -> tuple[Mention, ...]:
    """Each digest as it is named first; where it is needed at all, as it is needed."""
    once: dict[Digest, Mention] = {}
    for each in found:
        known = once.setdefault(each.digest, each)
        if each.needed and not known.needed:
            once[each.digest] = each
    return tuple(once.values())


def _is_wanted(child: Mention, platforms: frozenset[Platform]) -> bool:
    """Blobs among the children (caches of builders) are for no platform, whatever they say."""
    return child.kind is not Kind.MANIFEST or _fits(child.platform, platforms)


def _fits(stated: Mapping[str, Any] | None, platforms: frozenset[Platform]) -> bool:  # Any: JSON as it came
    return not is_stated(stated) or any(platform.includes(stated or {}) for platform in platforms)


def is_stated(platform: Mapping[str, Any] | None) -> bool:
    """Whether it names one; builders write `unknown` of what attests a child."""
    return bool(platform) and "unknown" not in (
        (platform or {}).get("os"),
        (platform or {}).get("architecture"),
    )


def attested(child: Mention) -> str | None:
    """The digest of the child that this one attests."""
    found = child.annotations.get(_ATTESTS)
    return found if isinstance(found, str) else None


def is_image(child: Mention) -> bool:
    """Whether a child of an index can be what somebody pulls it for: it attests no other."""
    return attested(child) is None and (not child.platform or is_stated(child.platform))


def platform_of(child: Mention) -> str:
    """`OS/ARCHITECTURE[/VARIANT]` that a child of an index is for; empty: for all."""
    stated = child.platform or {}
    if not is_stated(stated):
        return ""
    return "/".join(str(stated[key]) for key in ("os", "architecture", "variant") if stated.get(key))


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
