"""Kubernetes' image promoter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

from registry_mesh.config.imports.entry import Entry, each_entry
from registry_mesh.config.imports.fields import Fields, NotCarried
from registry_mesh.config.imports.source import mappings_of
from registry_mesh.config.imports.spelling import is_digest, pins, some
from registry_mesh.config.rule_values import host_of
from registry_mesh.oci.reference import is_tag

_LOGIN: Final = "is not carried: logins stand in the node's configuration, registries.HOST.credentials"
_FILES: Final = "files of a bucket: rules ask registries only"
_WHICH: Final = "which registry is promoted from? Say --registry src=HOST/PATH, and --registry dest=HOST/PATH"

Registries = Mapping[str, str]


def kpromo(text: str, registries: Registries) -> Iterator[Entry]:
    """A promoter manifest, or the list of images of a thin one. `registries`: `src` and `dest` of a thin one."""
    source, targets = (
        registries.get("src", ""),
        [found for name, found in registries.items() if name != "src"],
    )
    for document in mappings_of(text, "kpromo", "name", "images", "imagesPath", "registries", "filestores"):
        if not ({"registries", "images", "filestores", "files", "imagesPath"} & set(document.values)):
            yield from each_entry(
                document, str(document.values.get("name")), partial(_image, document, source, targets)
            )
            continue
        found = document.mappings("registries")
        for each in found:
            each.leave(_LOGIN, "service-account")
        own = [each.text("name") for each in found if each.flag("src")]
        out = [each.text("name") for each in found if not each.flag("src")]
        document.leave("is not carried: import the files it names", "imagesPath")
        for key in ("filestores", "files"):
            document.refuse(key, _FILES) if key in document else None
        for image in document.mappings("images"):
            making = partial(_image, image, own[0] if own else source, out or targets)
            yield from each_entry(image, str(image.values.get("name")), making)
        yield from each_entry(document, "the file", list)


def _image(image: Fields, source: str, targets: list[str]) -> list[Entry]:
    name, digests = image.text("name"), image.fields("dmap")
    several = [(digest, digests.texts(digest)) for digest in digests.values]
    for digest, tags in several:
        if not is_digest(digest) or not all(map(is_tag, tags)):
            raise NotCarried(f"dmap: {digest}: a digest and its tags are meant", digests.place(digest))
    if not name or not several:
        raise NotCarried("name or dmap is missing: nothing is promoted", image.mark)
    if not source:
        raise NotCarried(_WHICH, image.mark)
    host, repository = _place(source, name)
    keys: dict[str, Any] = {"from": host, "repos": repository, "tags": some(pins(several))}
    to = [{"registry": place[0], "name": place[1]} for place in (_place(each, name) for each in targets)]
    if to:
        keys["to"] = to[0] if len(to) == 1 else to
    return [Entry(name, keys)]


def _place(registry: str, name: str) -> tuple[str, str]:
    first, _, folder = registry.strip("/").partition("/")
    return str(host_of(first)), "/".join(each for each in (folder, name.strip("/")) if each)
