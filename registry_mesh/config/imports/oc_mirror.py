"""oc-mirror, v1 and v2."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from registry_mesh.config.finding import Mark
from registry_mesh.config.imports.entry import Entry, each_entry
from registry_mesh.config.imports.fields import Fields, NotCarried
from registry_mesh.config.imports.source import mappings_of
from registry_mesh.config.imports.spelling import reference, to_of

_GRAPH: Final = (
    "are found in an update graph, which rules do not ask; let oc-mirror write mapping.txt and import that"
)
_OLD_CHART: Final = "a chart repository of the old kind (index.yaml): only charts in registries are taken"
_BLOCKED: Final = "an expression over whole references: write it as !patterns of repos or tags"
_DELETE: Final = "a tag is deleted because no rule wants it; take it out of the rules"
_OURS: Final = "is not carried: where and how large it is kept stands in the node's configuration"


def oc_mirror(text: str) -> Iterator[Entry]:
    """`ImageSetConfiguration` of oc-mirror, v1 and v2; of `mapping.txt` each line."""
    if re.search(r"^[^\s:=]\S*=\S+$", text, re.MULTILINE) and not re.search(
        r"^(kind|mirror)\s*:", text, re.MULTILINE
    ):
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                yield from each_entry(
                    Fields({}, {}, Mark(number, 1)), line.strip(), partial(_mapped, line.strip())
                )
        return
    for document in mappings_of(text, "oc-mirror", "mirror", "delete"):
        document.drop("apiVersion", "kind", "metadata")
        document.leave(_OURS, "archiveSize", "storageConfig")
        if document.get("delete") is not None:
            yield Entry("delete", refused=_DELETE, mark=document.place("delete"))
        mirror = document.fields("mirror")
        mirror.fold("platform", "operators", "additionalImages", "helm", "blockedImages", "samples")
        yield from _others(mirror)
        for image in mirror.mappings("additionalImages"):
            yield from each_entry(image, str(image.values.get("name")), partial(_additional, image))
        for sample in mirror.mappings("samples"):
            yield _refused(sample, "sample", "samples are taken by oc-mirror v1 only: name the images")
        yield from each_entry(document, "the file", list)


def _others(mirror: Fields) -> Iterator[Entry]:
    platform = mirror.fields("platform")
    platform.drop("architectures")
    for channel in platform.mappings("channels"):
        channel.spare()
        yield _refused(channel, "channel", f"releases {_GRAPH}")
    if platform.flag("graph") and not platform.values.get("channels"):
        yield Entry(
            "platform.graph", refused="the graph's image is built by oc-mirror", mark=platform.place("graph")
        )
    if platform.text("release"):
        yield Entry(
            f"release {platform.text('release')}",
            refused=f"releases {_GRAPH}",
            mark=platform.place("release"),
        )
    for catalog in mirror.mappings("operators"):
        catalog.spare()
        yield _refused(catalog, "catalog", f"packages {_GRAPH}")
    for blocked in mirror.mappings("blockedImages"):
        yield _refused(blocked, "blocked", _BLOCKED)
    helm = mirror.fields("helm")
    for repository in helm.mappings("repositories"):
        for chart in repository.mappings("charts") or [repository]:
            chart.spare()
            yield _refused(chart, "chart", _OLD_CHART)
        repository.spare()
    for local in helm.mappings("local"):
        local.spare()
        yield _refused(local, "chart", "a chart on a disk: push it to a registry")


def _refused(fields: Fields, kind: str, sentence: str) -> Entry:
    name = fields.text("catalog") or fields.text("name") if kind == "catalog" else fields.text("name")
    return Entry(f"{kind} {name}", refused=sentence, mark=fields.mark)


def _additional(image: Fields) -> list[Entry]:
    name = image.text("name")
    if name.startswith(("oci:", "dir:", "file:")):
        raise NotCarried("a layout on a disk; rules copy what a registry has", image.place("name"))
    ref = reference(name)
    keys: dict[str, Any] = {"from": ref.registry, "repos": ref.repository, "tags": ref.one}
    repository, tag = image.text("targetRepo"), image.text("targetTag")
    if repository or tag:
        keys["to"] = {**({"name": repository} if repository else {}), **({"tag": tag} if tag else {})}
    return [Entry(name, keys)]


def _mapped(line: str) -> list[Entry]:
    source, _, target = line.partition("=")
    if not target or target.startswith("file://"):
        raise NotCarried("a line of mapping.txt is SOURCE=REGISTRY/REPOSITORY:TAG")
    ref, to = reference(source), reference(target)
    return [Entry(line, {"from": ref.registry, "repos": ref.repository, "to": to_of(to), "tags": ref.one})]
