"""DUCC recipes, image-syncer, oc-mirror, hauler: lists of references."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from registry_mesh.config.imports.entry import Entry, NotCarried
from registry_mesh.config.imports.spelling import Ref, exact_tags, matching, reference, searched, some, to_of

_GRAPH: Final = (
    "releases are found in an update graph, which rules do not ask; "
    "let oc-mirror write mapping.txt and import that"
)


def ducc(text: str) -> Iterator[Entry]:
    """`recipe.yaml` of CVMFS' unpacker, or a plain list, a reference a line."""
    document = yaml.safe_load(text) if re.search(r"^input\s*:", text, re.MULTILINE) else None
    if document is not None:
        notes = ("output_format says where a registry keeps thin images: rules name targets by to",)
        given = document.get("input") or []
        extra = notes if document.get("output_format") else ()
    else:
        given, extra = [line.split("#")[0].strip() for line in text.splitlines()], ()
    for number, line in enumerate(each for each in given if each):
        yield _ducc(line, extra if not number else ())


def _ducc(line: object, notes: tuple[str, ...]) -> Entry:
    if isinstance(line, dict):
        if "apptainer_def" in line:
            return Entry(str(line), refused="built from a definition file; rules copy what a registry has")
        line = line.get("image") or line.get("name") or ""
    try:
        ref = reference(str(line))
    except NotCarried as fault:
        return Entry(str(line), refused=str(fault))
    tag = ref.tag or ("" if ref.digest else "latest")
    keys = {"from": ref.registry, "repos": ref.repository, "tags": Ref("", "", tag, ref.digest).tags}
    if "*" not in tag:
        return Entry(str(line), keys, notes=notes)
    expression = tag.replace("*", ".*")
    try:
        own = matching(expression, whole=True)
        keys["tags"] = tag if not set("[](){}|+?\\^$") & set(tag) and "." not in tag else f"re: {expression}"
    except NotCarried as fault:
        return Entry(str(line), refused=str(fault))
    return Entry(str(line), keys, notes=notes, selects=lambda name: own.fullmatch(name) is not None)


def image_syncer(text: str) -> Iterator[Entry]:
    """Images of image-syncer, YAML or JSON: source to one or several targets."""
    document: dict[str, Any] = yaml.safe_load(text) or {}
    for source, targets in (document.get("images") or document).items():
        yield _synced(str(source), targets if isinstance(targets, list) else [targets], str(source))


def _synced(source: str, targets: list[Any], where: str) -> Entry:
    try:
        own = None
        expression = re.search(r":/(.*)/$", source)
        bare = source[: expression.start()] if expression else source
        head, colon, tags = bare.rpartition(":") if "," in bare and "@" not in bare else ("", "", "")
        ref = reference(head if colon else bare)
        wanted: str | list[str] = ref.tags or "*"
        if expression:
            wanted, own = searched(expression[1]), matching(expression[1])
        elif colon:
            wanted = some(exact_tags([each.strip() for each in tags.split(",")]))
        to = [to_of(reference(str(each))) for each in targets]
        if isinstance(wanted, list) and any("," in each.get("tag", "") for each in to):
            raise NotCarried("several new tags for several old ones: write a rule for each")
        if any("," in str(each).rpartition("/")[2] for each in targets):
            raise NotCarried("several new tags for several old ones: write a rule for each")
    except NotCarried as fault:
        return Entry(where, refused=str(fault))
    keys = {
        "from": ref.registry,
        "repos": ref.repository,
        "tags": wanted,
        "to": to[0] if len(to) == 1 else to,
    }
    return Entry(where, keys, selects=None if own is None else lambda name: own.search(name) is not None)


def oc_mirror(text: str) -> Iterator[Entry]:
    """`ImageSetConfiguration` of oc-mirror, v1 and v2; of `mapping.txt` each line."""
    if re.search(r"^\S+=\S+$", text, re.MULTILINE) and "mirror:" not in text:
        yield from (_mapped(line) for line in text.splitlines() if line.strip())
        return
    for document in filter(None, yaml.safe_load_all(text)):
        if document.get("delete") is not None:
            yield Entry(
                "delete", refused="a tag is deleted because no rule wants it; take it out of the rules"
            )
            continue
        mirror = document.get("mirror") or {}
        for channel in (mirror.get("platform") or {}).get("channels") or []:
            yield Entry(f"channel {channel.get('name')}", refused=_GRAPH)
        for catalog in mirror.get("operators") or []:
            yield Entry(
                f"catalog {catalog.get('catalog')}", refused=_GRAPH.replace("releases are", "packages are")
            )
        blocked = mirror.get("blockedImages") or []
        for each in blocked:
            said = "an expression over whole references: write it as !patterns of repos or tags"
            yield Entry(f"blocked {each.get('name')}", refused=said)
        for chart in _charts(mirror):
            said = "a chart repository of the old kind (index.yaml): only charts in registries are taken"
            yield Entry(f"chart {chart}", refused=said)
        for image in mirror.get("additionalImages") or []:
            yield _additional(image)


def _charts(mirror: Mapping[str, Any]) -> Iterator[str]:
    helm = mirror.get("helm") or {}
    for repository in helm.get("repositories") or []:
        for chart in repository.get("charts") or [{"name": repository.get("name")}]:
            yield str(chart.get("name"))
    for local in helm.get("local") or []:
        yield str(local.get("name"))


def _additional(image: Mapping[str, Any]) -> Entry:
    name = str(image.get("name"))
    try:
        ref = reference(name)
    except NotCarried as fault:
        return Entry(name, refused=str(fault))
    keys: dict[str, Any] = {"from": ref.registry, "repos": ref.repository}
    keys["tags"] = ref.tags if ref.tag else f"@{ref.digest}" if ref.digest else "latest"
    repository, tag = image.get("targetRepo"), image.get("targetTag")
    if repository or tag:
        keys["to"] = {**({"name": repository} if repository else {}), **({"tag": tag} if tag else {})}
    return Entry(name, keys)


def _mapped(line: str) -> Entry:
    source, _, target = line.partition("=")
    try:
        ref, to = reference(source), reference(target)
    except NotCarried as fault:
        return Entry(line, refused=str(fault))
    keys = {"from": ref.registry, "repos": ref.repository, "to": to_of(to)}
    keys["tags"] = ref.tags if ref.tag else f"@{ref.digest}" if ref.digest else "latest"
    return Entry(line, keys)


def hauler(text: str) -> Iterator[Entry]:
    """Manifests of hauler: images, charts, files."""
    for document in filter(None, yaml.safe_load_all(text)):
        spec, kind = document.get("spec") or {}, str(document.get("kind"))
        for image in spec.get("images") or []:
            yield _hauled(image)
        for chart in spec.get("charts") or []:
            yield _chart(chart)
        for file in spec.get("files") or []:
            yield Entry(
                str(file.get("path")), refused="a file from the web or a disk: rules ask registries only"
            )
        if kind not in ("Images", "Charts", "Files"):
            yield Entry(kind, refused="neither images nor charts nor files")


def _hauled(image: Mapping[str, Any]) -> Entry:
    name = str(image.get("name"))
    try:
        ref = reference(name)
    except NotCarried as fault:
        return Entry(name, refused=str(fault))
    tags = ref.tags if ref.tag else f"@{ref.digest}" if ref.digest else "latest"
    keys: dict[str, Any] = {"from": ref.registry, "repos": ref.repository, "tags": tags}
    if image.get("platform"):
        keys["platforms"] = image["platform"]
    notes = []
    verify = image.get("key") or image.get("certificate-identity-regexp") or image.get("certificate-identity")
    if verify:
        keys["verify"] = "hauler-" + re.sub(r"[^a-z0-9]+", "-", ref.repository)
        notes.append(f"{keys['verify']} is to be configured as a key: {verify}")
    return Entry(name, keys, notes=tuple(notes))


def _chart(chart: Mapping[str, Any]) -> Entry:
    name, url = str(chart.get("name")), str(chart.get("repoURL", ""))
    if not url.startswith("oci://"):
        said = "a chart repository of the old kind (index.yaml): only charts in registries are taken"
        return Entry(f"chart {name}", refused=said)
    ref = reference(f"{url.rstrip('/')}/{name}")
    version = str(chart.get("version") or "")
    keys: dict[str, Any] = {"from": ref.registry, "repos": ref.repository, "types": "chart"}
    if version and version != "latest":
        keys["tags"] = version.replace("+", "_")
        return Entry(f"chart {name}", keys)
    keys |= {"tags": "semver: *", "keep": 1}
    return Entry(f"chart {name}", keys, notes=("no version: the newest at that moment is meant",))
