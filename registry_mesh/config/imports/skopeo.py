"""skopeo sync."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from registry_mesh.config.imports.entry import Entry, Matches, each_entry
from registry_mesh.config.imports.fields import Fields, NotCarried, WrongFile
from registry_mesh.config.imports.masterminds import as_pattern, selecting
from registry_mesh.config.imports.source import mapping_of
from registry_mesh.config.imports.spelling import NO_BUILD, exact_tags, hub_name, matching, searched, some
from registry_mesh.config.rule_values import host_of

_CONNECTION: Final = (
    "is not carried: logins and certificates stand in the node's configuration, registries.HOST"
)
_KINDS: Final = ("images", "images-by-semver", "images-by-tag-regex")


def skopeo(text: str) -> Iterator[Entry]:
    """The YAML of `skopeo sync --src yaml`."""
    document = mapping_of(text, "skopeo")
    if not any(kind in document.fields(host) for host in document.values for kind in _KINDS):
        raise WrongFile(
            f"no file of skopeo: none of {', '.join(_KINDS)} stands below a registry", document.mark
        )
    for host in document.values:
        registry = document.fields(host)
        registry.leave(_CONNECTION, "credentials", "tls-verify", "cert-dir")
        notes, registry.notes = registry.notes, []
        for kind in _KINDS:
            images = registry.fields(kind)
            for repository in images.values:
                carried = Fields({}, {}, images.place(repository), notes=notes)
                where = f"{host}: {kind}: {repository}"
                yield from each_entry(carried, where, partial(_entry, host, kind, images, repository, where))
                notes = []
        yield from each_entry(registry, host, list)


def _entry(host: str, kind: str, images: Fields, repository: str, where: str) -> list[Entry]:
    first, _, folder = host.partition("/")
    registry = host_of(first)
    name = hub_name(registry, f"{folder}/{repository}" if folder else repository)
    selects: Matches | None = None
    mark = images.place(repository)
    try:
        if kind == "images":
            several = images.texts(repository)
            tags: str | list[str] = some(exact_tags(several)) if several else "*"
        elif kind == "images-by-semver":
            written = images.text(repository)
            tags, selects = [as_pattern(written), NO_BUILD], selecting(written)
        else:
            written = images.text(repository)
            tags, own = searched(written), matching(written)
            selects = lambda tag: own.search(tag) is not None  # noqa: E731
    except NotCarried as fault:
        raise NotCarried(f"{kind}: {fault}", mark) from None
    keys = {"from": registry, "repos": name, "tags": tags}
    return [Entry(where, keys, selects=selects, mark=mark)]
