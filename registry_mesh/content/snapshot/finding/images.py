"""The images of what a tag names: which there are, and what their annotations and configs say of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from registry_mesh.content.snapshot.finding.graph import Graph, Node
from registry_mesh.content.snapshot.finding.labels import Read, is_config, labels_of
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.failures import SourceLied
from registry_mesh.replication.images import Image, asked
from registry_mesh.replication.rules import Rule, platform_within

MAX_IMAGES: Final = 50_000
"""Of one tag; a source that names more is not followed."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An image before its config was read."""

    platform: str
    type: str
    config: Descriptor | None


def shown(graph: Graph) -> list[Shown]:
    """The images of a graph, in the order of its indexes. `SourceLied` where there is no end of them."""
    found: dict[tuple[Digest, str, str], Shown] = {}
    for node, platform, type in _walk(graph.nodes, graph.root.digest, "", "", set()):
        found[node.descriptor.digest, platform, type] = Shown(platform, type, _config(node))
        if len(found) > MAX_IMAGES:
            raise SourceLied(f"{graph.root.digest} stands for more than {MAX_IMAGES} images")
    root = graph.nodes[graph.root.digest]
    if not found and not root.images:  # an index of nothing that is an image
        return [Shown("", root.descriptor.artifact_type or root.descriptor.media_type, None)]
    return list(found.values())


def _walk(
    nodes: Mapping[Digest, Node], digest: Digest, platform: str, type: str, seen: set[tuple[Digest, str, str]]
) -> Iterator[tuple[Node, str, str]]:
    """Each image below a manifest, with the platform and the type that are said on the way to it."""
    node = nodes.get(digest)
    if node is None or (digest, platform, type) in seen:
        return
    seen.add((digest, platform, type))
    type = type or node.descriptor.artifact_type or ""
    for child, name in node.images:
        yield from _walk(nodes, child, platform_within(name, platform), type, seen)
    if not (node.is_index or node.images):
        yield node, platform, type or node.descriptor.media_type


def _config(node: Node) -> Descriptor | None:
    return next(filter(is_config, node.blobs), None)


async def images(
    annotations: Mapping[str, str], found: Iterable[Shown], rules: Sequence[Rule], read: Read
) -> tuple[Image, ...]:
    """With the labels that `rules` look for, each in the images that its own platforms take: those of `annotations`,
    of what the tag names, come before those of configs, which are read only where they are needed. `Failure`,
    `Refusal`."""
    found = tuple(found)
    needed = {
        each.config.digest: each.config
        for each in found
        if each.config is not None and any(name not in annotations for name in asked(rules, each.platform))
    }
    told = await asyncio.gather(*(labels_of(config, read) for config in needed.values()))
    by_digest = dict(zip(needed, told, strict=True))
    return tuple(
        Image(each.platform, each.type, _labels(each, annotations, by_digest, rules)) for each in found
    )


def _labels(
    image: Shown,
    annotations: Mapping[str, str],
    configs: Mapping[Digest, Mapping[str, str]],
    rules: Sequence[Rule],
) -> dict[str, str | None]:
    of_config = configs.get(image.config.digest, {}) if image.config is not None else {}
    return {name: annotations.get(name, of_config.get(name)) for name in asked(rules, image.platform)}
