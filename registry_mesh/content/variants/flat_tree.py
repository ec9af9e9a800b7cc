"""The tree that the layers of an image make together, as one tar (image-spec layer.md, "Applying Changesets")."""

from __future__ import annotations

import copy
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import BinaryIO, Final

from registry_mesh.content.variants.layer_tar import BLOCK, Member, members, payload

_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_PIECE: Final = 1 << 20


@dataclass(slots=True)
class _Node:
    """One name of the tree: which layer says what it is, and what is below."""

    layer: int = -1
    member: Member | None = None
    below: dict[str, _Node] = field(default_factory=dict)


class FlatTree:
    """Of layers, the lowest first. `ValueError` as `layer_tar.members` raises it."""

    def __init__(self, layers: Sequence[BinaryIO], go_on: Callable[[], None]) -> None:
        self._layers = layers
        self._go_on = go_on
        self._root = _Node()
        for number, layer in enumerate(layers):
            found = list(members(layer))
            for member in found:
                self._hide(number, member)
            for member in found:
                self._add(number, member)

    def _hide(self, number: int, member: Member) -> None:
        """What a whiteout says of lower layers."""
        *folders, name = _parts(member.name) or ("",)
        if not name.startswith(_WHITEOUT):
            return
        folder = self._find(folders)
        if folder is None:
            return
        if name == _OPAQUE:
            folder.below.clear()
        else:
            folder.below.pop(name.removeprefix(_WHITEOUT), None)

    def _add(self, number: int, member: Member) -> None:
        parts = _parts(member.name)
        if not parts or parts[-1].startswith(_WHITEOUT):
            return
        node = self._root
        for part in parts:
            if node.member is not None and not node.member.info.isdir():
                node.member = None  # a folder where a lower layer had none
            node = node.below.setdefault(part, _Node())
        if not member.info.isdir():
            node.below.clear()
        node.layer, node.member = number, member

    def _find(self, parts: Sequence[str]) -> _Node | None:
        node: _Node | None = self._root
        for part in parts:
            node = node.below.get(part) if node is not None else None
        return node

    def pieces(self) -> Iterator[bytes]:
        """The tar, without its end: folders before what is in them, links after what they are links to."""
        links: list[_Node] = []
        for node in _walk(self._root):
            assert node.member is not None, "walked are those that are something"
            self._go_on()
            if node.member.info.islnk():
                links.append(node)
            else:
                yield from self._entry(node.layer, node.member, node.member)
        for node in links:
            yield from self._link(node)

    def _link(self, node: _Node) -> Iterator[bytes]:
        """A hard link, as long as what it is a link to is still that; else a file of its own."""
        assert node.member is not None, "it is one"
        target = self._find(_parts(node.member.info.linkname))
        if (
            target is not None
            and target.layer == node.layer
            and target.member is not None
            and (target.member.info.isreg())
        ):
            yield self._header(node.layer, node.member)
            return
        named = _parts(node.member.info.linkname)
        layers = range(node.layer, -1, -1)
        found = ((n, m) for n in layers for m in members(self._layers[n]) if _parts(m.name) == named)
        number, original = next(((n, m) for n, m in found if m.info.isreg()), (0, None))
        if original is None:
            raise ValueError(f"has {node.member.name}, a link to nothing")
        yield from self._entry(number, original, node.member)

    def _entry(self, layer: int, member: Member, named: Member) -> Iterator[bytes]:
        """What `member` is, under the name of `named`."""
        if member is named:
            yield self._header(layer, member)
        else:
            info = copy.copy(member.info)
            info.name, info.pax_headers = named.name, {**member.info.pax_headers}
            info.pax_headers.pop("path", None)
            yield info.tobuf(tarfile.PAX_FORMAT, errors="surrogateescape")
        if member.info.isreg():
            yield from payload(self._layers[layer], member, _PIECE, self._go_on)
            yield bytes(-member.info.size % BLOCK)

    def _header(self, layer: int, member: Member) -> bytes:
        self._layers[layer].seek(member.start)
        return self._layers[layer].read(member.data - member.start)


def _parts(name: str) -> tuple[str, ...]:
    parts = tuple(part for part in PurePosixPath(name).parts if part not in ("/", "."))
    if ".." in parts:
        raise ValueError(f"has {name}, which leads out of the image")
    return parts


def _walk(node: _Node) -> Iterator[_Node]:
    """Each that is something, folders before what is in them."""
    for name in sorted(node.below):
        one = node.below[name]
        if one.member is not None:
            yield one
        yield from _walk(one)
