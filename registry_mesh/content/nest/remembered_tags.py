"""The tags that a cache remembers, of all repositories: what it can be said to hold."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass

from registry_mesh.content.nest.names import pointed_at
from registry_mesh.content.nest.remembered import Entry
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag, is_name, is_tag
from registry_mesh.ports.place import Place
from registry_mesh.ports.records import Records

ROOT = "remembered/"


@dataclass(frozen=True, slots=True, order=True)
class RememberedTag:
    """That `tag` pointed at `digest` when a parent confirmed it last, in seconds since the epoch."""

    place: Place
    tag: Tag
    digest: Digest
    confirmed: float


def key_of(place: Place, tag: Tag) -> str:
    """The record of one tag."""
    return f"{ROOT}{component(place.registry)}/{place.repository}/_tags/{tag}"


def component(registry: RegistryName) -> str:
    """A registry's name in a key."""
    return registry.replace(":", "_")


async def remembered_tags(
    records: Records, registries: Collection[RegistryName]
) -> AsyncIterator[RememberedTag]:
    """Every tag that exists, in no promised order. Tags of registries that are not served any more are not told."""
    for registry in registries:
        root = f"{ROOT}{component(registry)}/"
        async for key in records.walk(root):
            name, here, tag = key.removeprefix(root).partition("/_tags/")
            if not here or not is_name(name) or not is_tag(tag):
                continue
            data = await records.get(key)
            entry = Entry.decode(data) if data is not None else None
            if entry is not None and (digest := pointed_at(entry)) is not None:
                yield RememberedTag(Place(registry, RepositoryName(name)), Tag(tag), digest, entry.confirmed)


async def remembered_repositories(records: Records, registry: RegistryName) -> set[RepositoryName]:
    """The repositories of which some tag is, or was, remembered."""
    return {RepositoryName(name) for name in await _below(records, f"{ROOT}{component(registry)}/", "")}


async def _below(records: Records, root: str, name: str) -> set[str]:
    found: set[str] = set()
    for child in await records.children(f"{root}{name}/" if name else root):
        if child == "_tags":
            found.add(name)
        elif not child.startswith("_"):
            found |= await _below(records, root, f"{name}/{child}" if name else child)
    return found
