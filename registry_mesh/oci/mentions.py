"""What a document names, whatever kind of document it is.

The one place that decides it: a replica brings what is named, a collection keeps it, a self-check and the look before
a tag is switched demand it. Nothing here refuses a document. Of the types of the specification the config, the layers
and the children are named, and no more. Of every other document (schema 1, artifact manifests, types of tomorrow,
documents with doubled keys, no JSON at all) the known places are read, and beyond them each string that is a digest
is a hint: it need not be anywhere, and is kept where it is.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.lenient import read_json, spelt, whole_characters
from registry_mesh.oci.media_types import INDEXES, MANIFESTS, is_non_distributable
from registry_mesh.oci.refusals import DigestInvalid

_OTHER_MANIFESTS: Final = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/vnd.oci.artifact.manifest.v1+json",
    }
)
_BLOBS: Final = re.compile(
    r"application/(vnd\.oci\.image\.(layer|config)\.|vnd\.docker\.image\.rootfs\.|vnd\.docker\.container\.image\."
    r"|vnd\.oci\.empty\.|octet-stream$).*"
)
_QUOTED: Final = re.compile(r'"((?:sha256|sha512):[0-9a-f]{64,128})"')
_ALSO: Final = "\0also"  # no key of a document that matters: under it stand the values of doubled keys


class Kind(enum.Enum):
    """How what is named is asked for."""

    BLOB = "blob"
    MANIFEST = "manifest"
    UNTOLD = "blob or manifest"


@dataclass(frozen=True, slots=True)
class Mention:
    """One digest that a document names."""

    digest: Digest
    kind: Kind = Kind.UNTOLD
    needed: bool = False
    """The document is of no use without it; else it is a hint, or a layer that a registry need not hold."""
    size: int | None = None
    """In bytes, where the document says it."""
    media_type: str = ""
    platform: Mapping[str, Any] | None = field(default=None, hash=False)  # Any: JSON as it came
    annotations: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def foreign(self) -> bool:
        """Whether it is a layer that a registry need not hold."""
        return is_non_distributable(self.media_type)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something that stands where a digest is named, and names none that can be checked."""

    where: str
    platform: Mapping[str, Any] | None = field(default=None, hash=False)
    annotations: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Mentions:
    """All that one document names; a digest as often as it stands there."""

    named: tuple[Mention, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    is_index: bool = False
    """Whether it is an index as the specification knows them: its children may be wanted for some platforms only."""


def mentions(data: bytes, media_type: str) -> Mentions:
    """What the document `data`, announced as `media_type`, names."""
    document = _read(data)
    if not isinstance(document, dict):
        return Mentions(tuple(_hints(_strings(document, data))))
    stated = document.get("mediaType")
    types = {media_type.partition(";")[0].strip().lower(), stated.lower() if isinstance(stated, str) else ""}
    known, is_index = bool(types & (MANIFESTS | INDEXES)), bool(types & INDEXES)
    found = list(_places(document) if not known else _children(document) if is_index else _parts(document))
    named = [each for each in found if isinstance(each, Mention)]
    unreadable = [each for each in found if isinstance(each, Unreadable)]
    if not known or unreadable or _ALSO in document:
        told = {each.digest for each in named}
        named += [each for each in _hints(_strings(document, data)) if each.digest not in told]
    return Mentions(tuple(named), tuple(unreadable), is_index)


_Found = Mention | Unreadable


def _parts(document: dict[str, Any]) -> Iterator[_Found]:
    """Of an image manifest."""
    if document.get("config") is not None:
        yield _descriptor(document["config"], "config", Kind.BLOB)
    yield from _listed(document, "layers", Kind.BLOB)


def _children(document: dict[str, Any]) -> Iterator[_Found]:
    """Of an index. It may name what is no manifest (image-spec image-index.md): caches of builders do."""
    yield from _listed(document, "manifests", None)


def _places(document: dict[str, Any]) -> Iterator[_Found]:
    """Of a type that is not known: the places where documents name things, then every other descriptor."""
    if document.get("config") is not None:
        yield _descriptor(document["config"], "config", Kind.BLOB)
    for name in ("layers", "blobs"):
        yield from _listed(document, name, Kind.BLOB)
    yield from _listed(document, "manifests", None)
    history = document.get("fsLayers")  # schema 1
    for layer in history if isinstance(history, list) else ():
        if isinstance(layer, dict) and isinstance(layer.get("blobSum"), str):
            yield _descriptor({"digest": layer["blobSum"]}, "fsLayers", Kind.BLOB)
    taken = {"config", "layers", "blobs", "manifests", "subject"}  # a subject need not be anywhere
    for each in _objects([value for name, value in document.items() if name not in taken]):
        if isinstance(each.get("digest"), str) and "mediaType" in each and "size" in each:
            found = _descriptor(each, "a descriptor", None)
            if isinstance(found, Mention):
                yield found


def _listed(document: dict[str, Any], name: str, kind: Kind | None) -> Iterator[_Found]:
    """The descriptors of a list; a list of bare digests is read as well."""
    value = document.get(name)
    if value is not None and not isinstance(value, list):
        yield Unreadable(f"{name} is no list")
        return
    for i, each in enumerate(value or ()):
        yield _descriptor({"digest": each} if isinstance(each, str) else each, f"{name}[{i}]", kind)


def _descriptor(value: object, where: str, kind: Kind | None) -> _Found:
    """`kind` None: what the media type tells."""
    if not isinstance(value, dict):
        return Unreadable(f"{where} is no descriptor")
    platform, annotations, given = value.get("platform"), value.get("annotations"), value.get("digest")
    platform = platform if isinstance(platform, dict) else None
    annotations = annotations if isinstance(annotations, dict) else {}
    try:
        digest = Digest.parse(given if isinstance(given, str) else "")
    except DigestInvalid:
        return Unreadable(f"{where} names {str(given)[:150]}, which cannot be checked", platform, annotations)
    size, media_type = value.get("size"), value.get("mediaType")
    size = size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None
    media_type = media_type if isinstance(media_type, str) else ""
    needed = not is_non_distributable(media_type)
    return Mention(digest, kind or _told(media_type), needed, size, media_type, platform, annotations)


def _told(media_type: str) -> Kind:
    if media_type in MANIFESTS or media_type in INDEXES or media_type in _OTHER_MANIFESTS:
        return Kind.MANIFEST
    return Kind.BLOB if _BLOBS.fullmatch(media_type) else Kind.UNTOLD


def _hints(texts: Iterator[str]) -> Iterator[Mention]:
    for text in dict.fromkeys(texts):
        try:
            yield Mention(Digest.parse(text))
        except DigestInvalid:
            continue


def _strings(document: object, data: bytes) -> Iterator[str]:
    """Every string that may be a digest, keys among them; of what is no JSON whatever stands between quotes."""
    if document is None:
        yield from (found[1] for found in _QUOTED.finditer(data.decode("utf-8", "replace")))
    ahead = [document]
    while ahead:
        each = ahead.pop()
        if isinstance(each, str):
            if each.startswith("sha"):
                yield each
        elif isinstance(each, dict):
            ahead += each.keys()
            ahead += each.values()
        elif isinstance(each, list):
            ahead += each


def _objects(value: object) -> Iterator[dict[str, Any]]:
    ahead = [value]
    while ahead:
        each = ahead.pop()
        if isinstance(each, dict):
            yield each
            ahead += each.values()
        elif isinstance(each, list):
            ahead += each


def _read(data: bytes) -> object:
    """The document; None where it is no JSON, or too deep for a decoder. What stood under a doubled key is kept."""
    doubled: list[Any] = []
    try:
        document = read_json(data, partial(_object, doubled))
        document, doubled = whole_characters(document, data), whole_characters(doubled, data)
    except (ValueError, RecursionError):
        return None
    if not doubled:
        return document
    return document | {_ALSO: doubled} if isinstance(document, dict) else [document, doubled]


def _object(doubled: list[Any], pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = {spelt(key): value for key, value in pairs}
    if len(found) != len(pairs):
        doubled += [value for _, value in pairs]
    return found
