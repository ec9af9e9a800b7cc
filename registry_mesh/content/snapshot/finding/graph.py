"""What a manifest stands for: itself, its children, their blobs, and what refers to them.

What is named below the root is needed: where it is not to be had, there is no graph. What hangs beside it (referrers,
and all below them) decides nothing: what is not to be had of that is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import ManifestUnknown
from registry_mesh.ports.failures import Failure
from registry_mesh.replication.rules import Platforms
from registry_mesh.replication.sentences import nothing_for


class Incomplete(Failure):
    """Something that a tag stands for is not to be had, or not as the rules want it."""


class RootUnknown(Incomplete):
    """The source does not have what it says itself that a tag points at."""


class NothingFor(Incomplete):
    """A tag stands for images, and none of them is for the platforms that are wanted."""


@dataclass(frozen=True, slots=True)
class Node:
    """A manifest, and what has to be there before it."""

    descriptor: Descriptor
    blobs: tuple[Descriptor, ...] = ()
    children: tuple[Digest, ...] = ()
    subject: Digest | None = None
    """Where it was found as a referrer."""
    left_out: frozenset[Digest] = frozenset()
    """What it names and rules do not want."""
    images: tuple[tuple[Digest, str], ...] = ()
    """Of an index its images, here or not, and the platform that each is for; empty: for all."""
    is_index: bool = False
    """Whether it is an index of manifests: one of blobs (a cache of a builder) is not."""

    @property
    def before(self) -> tuple[Digest, ...]:
        """The manifests that come before it."""
        return self.children + ((self.subject,) if self.subject else ())


@dataclass(frozen=True, slots=True)
class Graph:
    """Everything below and around `root`."""

    root: Descriptor
    nodes: Mapping[Digest, Node]
    beside: frozenset[Digest] = frozenset()
    """Those of `nodes` that are not needed for the root."""
    lost: Mapping[Digest, Exception] = field(default_factory=dict)
    """What is listed beside the root, and not to be had."""
    notes: tuple[str, ...] = ()
    """What is odd, or not known, and stops nothing."""
    is_known: bool = True
    """Whether all that could be asked was answered."""

    @property
    def size(self) -> int:
        """Bytes of all blobs that the root needs."""
        return sum({blob.digest: blob.size for node in self.main for blob in node.blobs}.values())

    @property
    def main(self) -> list[Node]:
        """The root, and what is named below it."""
        return [self.nodes[each] for each in below(self.root.digest, self.nodes) if each in self.nodes]

    @property
    def type(self) -> str:
        """The root's artifact type, else the media type of the first thing that it, or the first child, is made of."""
        node: Node | None = self.nodes.get(self.root.digest)
        for _ in range(len(self.nodes)):
            if node is None or node.descriptor.artifact_type:
                break
            if node.children:
                node = self.nodes.get(node.children[0])
            else:
                return node.blobs[0].media_type if node.blobs else node.descriptor.media_type
        return (node.descriptor.artifact_type or "") if node is not None else ""

    def without_blobs(self) -> Graph:
        """The same with manifests alone: their blobs need not be here."""
        nodes = {
            digest: replace(
                node, blobs=(), left_out=node.left_out | frozenset(blob.digest for blob in node.blobs)
            )
            for digest, node in self.nodes.items()
        }
        return replace(self, nodes=nodes)

    @property
    def is_whole(self) -> bool:
        """Whether there is nothing more to be had."""
        return self.is_known and not self.lost


def below(root: Digest, nodes: Mapping[Digest, Node]) -> list[Digest]:
    """`root` and all that is named below it, here or not, each once."""
    found = {root: None}
    for digest in (ahead := [root]):
        for child in nodes[digest].children if digest in nodes else ():
            if child not in found:
                found[child] = None
                ahead.append(child)
    return list(found)


def image_nodes(root: Digest, nodes: Mapping[Digest, Node]) -> list[Node]:
    """`root`, and the images and indexes of images below it that are here, each once."""
    found = {root: None}
    for digest in (ahead := [root]):
        for child, _ in nodes[digest].images:
            if child in nodes and child not in found:
                found[child] = None
                ahead.append(child)
    return [nodes[digest] for digest in found]


def demand(root: Digest, nodes: Mapping[Digest, Node], lost: Mapping[Digest, Exception]) -> None:
    """`Incomplete` naming the first thing below `root` that could not be had; `RootUnknown` of itself."""
    for digest in below(root, nodes):
        fault = lost.get(digest)
        if fault is not None:
            reason = getattr(fault, "reason", str(fault))
            what = reason if str(digest) in reason else f"{digest}: {reason}"
            is_root = digest == root and isinstance(fault, ManifestUnknown)
            raise (RootUnknown if is_root else Incomplete)(what, source=getattr(fault, "source", ""))


def demand_platforms(root: Digest, nodes: Mapping[Digest, Node], platforms: Platforms) -> None:
    """`Incomplete` where the rules leave no image of what `root` stands for."""
    main = [nodes[digest] for digest in below(root, nodes)]
    has_some = any(not node.is_index for node in image_nodes(root, nodes))
    if platforms is None or has_some or not any(node.left_out for node in main):
        return
    offered = {platform for node in main for _, platform in node.images if platform}
    raise NothingFor(nothing_for(map(str, platforms), offered))


def whole_ones(nodes: Mapping[Digest, Node]) -> dict[Digest, Node]:
    """Those whose children and subjects are there, and theirs."""
    found = dict(nodes)
    while broken := [d for d, node in found.items() if any(each not in found for each in node.before)]:
        for digest in broken:
            del found[digest]
    return found
