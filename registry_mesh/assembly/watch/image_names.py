"""What images are called by those who name them at a command, and which are meant."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase

from registry_mesh.admin.images import Unheeded
from registry_mesh.assembly.sources.roles import aliases, default_registry
from registry_mesh.config.schema import Config
from registry_mesh.content.holdings.image import Image
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, Tag, parse_name, parse_reference
from registry_mesh.oci.refusals import Refusal
from registry_mesh.oci.registries import RegistryNames
from registry_mesh.ports.place import Place


class ImageNames:
    """At the node that `config` describes."""

    def __init__(self, config: Config) -> None:
        self._registries = [RegistryName(host) for host in config.registries]
        self._names = RegistryNames(self._registries, aliases(config))
        own = self._registries[0] if len(self._registries) == 1 else config.registry
        self._default = default_registry(config) or own

    def chosen(self, images: Sequence[Image], names: Sequence[str]) -> list[Image]:
        """Those that `names` mean. `Unheeded` where one of them means none."""
        chosen: dict[str, Image] = {}
        for name in names:
            found = [image for image in images if fits(image, name, self._default)]
            if not found:
                raise Unheeded(self._nothing_called(images, name))
            chosen |= {image.name: image for image in found}
        return list(chosen.values())

    def _nothing_called(self, images: Sequence[Image], name: str) -> str:
        known = {spelled for image in images for spelled in spellings(image, self._default)}
        near = difflib.get_close_matches(name, known, 1)
        said = f"Nothing here is called {name}."
        return f"{said}\n  Did you mean {near[0]}? registry-mesh ls {near[0]}" if near else said

    def parsed(self, name: str) -> tuple[Place, Tag | Digest]:
        """`[REGISTRY/]REPOSITORY:TAG` or `…@DIGEST`."""
        rest, at, digest = name.partition("@")
        if not at:
            rest, _, digest = rest.rpartition(":") if ":" in rest.rpartition("/")[2] else (rest, "", "latest")
        first, _, below = rest.partition("/")
        registry = self._names.find(first) if below else None
        served = ", ".join(self._registries)
        if registry is None and below and is_host(first):
            raise Unheeded(f"{name}: {first} is not served here; begin with a registry that is: {served}")
        if registry is None:
            registry, below = self._names.find(self._default or ""), rest
        if registry is None:
            raise Unheeded(f"{name}: begin with a registry that is served here: {served}")
        try:
            return Place(registry, parse_name(below)), parse_reference(digest)
        except Refusal as refusal:
            raise Unheeded(f"{name}: {refusal.reason}") from None


def is_host(first: str) -> bool:
    """Whether the first part of an image's name is a registry to every client, not the beginning of a repository."""
    return first == "localhost" or any(sign in first for sign in ".:")


def spellings(image: Image, default: str | None) -> list[str]:
    """What an image may be called, shortest last: with its registry and without where that is the default one."""
    found = [image.name, str(image.place)]
    if image.place.registry == default:
        found += [each.removeprefix(f"{default}/") for each in found]
    return found


def fits(image: Image, name: str, default: str | None) -> bool:
    """Whether `name`, a name or a pattern of the shell, means the image."""
    return any(fnmatchcase(each, name) for each in spellings(image, default))
