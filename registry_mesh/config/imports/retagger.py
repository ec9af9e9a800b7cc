"""retagger of Giant Swarm: renamed images."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from registry_mesh.config.imports.entry import Entry, each_entry
from registry_mesh.config.imports.fields import Fields, NotCarried
from registry_mesh.config.imports.masterminds import as_pattern, selecting
from registry_mesh.config.imports.source import mappings_of
from registry_mesh.config.imports.spelling import NO_BUILD, is_digest, matching, reference, searched
from registry_mesh.oci.reference import is_tag

_PLAIN: Final = "the version stands between plain text only, with ^ and $ around, such as ^stable-(.*)$"
_AROUND: Final = re.compile(r"\^([\w-]*)\(((?:[^()\\]|\\.)+)\)([\w-]*)\$")
_STORE: Final = (
    "retagger's registries stand in its command line; without a registry, to is this node's own store"
)


def retagger(text: str) -> Iterator[Entry]:
    """A list of renamed images."""
    images = mappings_of(text, "retagger", "image")
    images[0].notes.append(_STORE)
    for image in images:
        yield from each_entry(image, str(image.values.get("image")), partial(_image, image))


def _image(image: Fields) -> list[Entry]:
    name = image.text("image")
    ref = reference(name)
    image.refuse("dockerfile_extras", "an image that is built; rules copy what a registry has")
    keys: dict[str, Any] = {"from": ref.registry, "repos": ref.repository}
    tags, version, own = _tags(image)
    keys["tags"] = tags
    suffix = image.text("add_tag_suffix")
    tag = "{tag}"
    if image.flag("strip_semver_prefix"):
        if not version or " in " in tags[0]:
            sentence = "strip_semver_prefix: only beside semver, where the whole tag is the version"
            raise NotCarried(sentence, image.place("strip_semver_prefix"))
        tag = "{version}"
    to = {"name": image.text("override_repo_name") or "{base}"}
    if suffix or tag != "{tag}":
        to["tag"] = f"{tag}-{suffix}" if suffix else tag
    return [Entry(name, {**keys, "to": to}, selects=own)]


def _tags(image: Fields) -> tuple[str | list[str], bool, Any]:
    wanted, sha, versions = image.text("tag_or_pattern"), image.text("sha"), image.text("semver")
    written = image.text("filter")
    if versions and (wanted or sha):
        raise NotCarried(
            "semver beside tag_or_pattern or sha: retagger refuses it; keep one", image.place("semver")
        )
    if written and not versions:
        raise NotCarried("filter without semver: retagger refuses it; add semver", image.place("filter"))
    if sha:
        digest = f"sha256:{sha}"
        if not is_digest(digest) or not is_tag(wanted):
            raise NotCarried("sha: 64 hex digits, and tag_or_pattern is its tag", image.place("sha"))
        return f"{wanted}@{digest}", False, None
    if wanted:
        own = matching(wanted)
        return searched(wanted), False, lambda tag: own.search(tag) is not None
    if not versions:
        raise NotCarried("neither tag_or_pattern nor semver: say which tags", image.mark)
    found = as_pattern(versions)
    inside = selecting(versions)
    if not written:
        return [found, NO_BUILD], True, inside
    around = matching(written)

    def selects(tag: str) -> bool:
        part = around.search(tag)
        return part is not None and inside(part[1])

    return _in(found, written, image), True, selects


def _in(versions: str, written: str, image: Fields) -> list[str]:
    """The range where the first group of an expression reads the version."""
    around = _AROUND.fullmatch(written)
    if around is None:
        raise NotCarried(f"filter: {written}: {_PLAIN}", image.place("filter"))
    before, inner, behind = around.groups()
    found = f"{versions} in {before}*{behind}" if before or behind else versions
    plain = inner in (".*", ".+")
    if "_" in before + behind:
        inner, plain = "[^_]*" if plain else inner, False
    found = found if plain else f"{found} & {searched(f'^{before}(?:{inner}){behind}$')}"
    return [found] if "_" in before + behind else [found, NO_BUILD]
