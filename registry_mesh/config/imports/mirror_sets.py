"""OpenShift's mirror sets."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from registry_mesh.config.imports.entry import Entry, each_entry
from registry_mesh.config.imports.fields import Fields, NotCarried
from registry_mesh.config.imports.parents import address, denied, parents_of, whole_registry
from registry_mesh.config.imports.source import mappings_of

_LISTS: Final = {
    "ImageDigestMirrorSet": "imageDigestMirrors",
    "ImageTagMirrorSet": "imageTagMirrors",
    "ImageContentPolicy": "repositoryDigestMirrors",
    "ImageContentSourcePolicy": "repositoryDigestMirrors",
}
_BOTH: Final = "{} is asked for digests and tags alike here; what it lacks comes from the next group"


def mirror_sets(text: str) -> Iterator[Entry]:
    """Mirror sets become `parents` of the configuration; of `Image`, blocked registries `deny` of a rule file."""
    for document in mappings_of(text, "mirror-sets", "kind"):
        if document.text("kind") == "List":
            document.drop("apiVersion", "metadata")
            for item in document.mappings("items"):
                yield from _document(item)
            yield from each_entry(document, "List", list)
        else:
            yield from _document(document)


def _document(document: Fields) -> Iterator[Entry]:
    document.drop("apiVersion", "metadata", "status")
    kind, name = document.text("kind"), document.fields("metadata").values.get("name")
    document.fields("metadata").read |= set(document.fields("metadata").values)
    spec = document.fields("spec")
    if kind == "Image":
        yield from each_entry(document, f"{kind} {name}", partial(_image, spec, f"{kind} {name}"))
        return
    if kind not in _LISTS:
        spec.spare()
        said = f"kind: one of {', '.join(_LISTS)}, Image"
        yield Entry(kind or "the file", refused=said, mark=document.place("kind"))
        return
    for each in spec.mappings(_LISTS[kind]):
        where = f"{kind} {name}: {each.values.get('source')}"
        yield from each_entry(each, where, partial(_mirrored, each, where, kind))
    yield from each_entry(document, f"{kind} {name}", list)


def _mirrored(each: Fields, where: str, kind: str) -> list[Entry]:
    source, mirrors = each.text("source"), each.texts("mirrors")
    if not source:
        raise NotCarried("source is missing", each.mark)
    policy = each.text("mirrorSourcePolicy", "AllowContactingSource")
    if policy not in ("AllowContactingSource", "NeverContactSource"):
        raise NotCarried(f"mirrorSourcePolicy: {policy}: no such policy", each.place("mirrorSourcePolicy"))
    if not mirrors and policy == "NeverContactSource":
        return [denied(where, source, each.mark, "NeverContactSource, and no mirror")]
    host = whole_registry(source, mirrors, each.place("source"))
    each.notes.append(_BOTH.format(", ".join(mirrors)))
    groups = [address(mirror) for mirror in mirrors]
    if policy == "AllowContactingSource":
        groups.append(address(host))
    return [parents_of(where, host, groups, each.mark)]


def _image(spec: Fields, where: str) -> list[Entry]:
    spec.leave(
        "is not carried: which registries users may import from is the cluster's",
        "allowedRegistriesForImport",
    )
    spec.leave("is not carried: certificates stand in registries.HOST.ca", "additionalTrustedCA")
    spec.leave(
        "is not carried: the cluster's own registry", "externalRegistryHostnames", "imageStreamImportMode"
    )
    sources = spec.fields("registrySources")
    sources.leave("is not carried: plain HTTP is http:// in registries.HOST.parents", "insecureRegistries")
    sources.leave("is not carried: short names are the client's business", "containerRuntimeSearchRegistries")
    sources.refuse(
        "allowedRegistries", "a node asks only the registries of its configuration: name these there"
    )
    blocked = sources.texts("blockedRegistries")
    return [
        denied(f"{where}: {each}", each, sources.place("blockedRegistries"), "blocked in the cluster")
        for each in blocked
    ]
