"""kube-image-keeper: what it caches, mirrors and reroutes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from registry_mesh.config.imports.entry import Entry, each_entry
from registry_mesh.config.imports.fields import Fields, NotCarried
from registry_mesh.config.imports.parents import address, parents_of
from registry_mesh.config.imports.source import mappings_of
from registry_mesh.config.imports.spelling import alternatives, matching, reference, searched, some
from registry_mesh.config.rule_values import host_of

_PODS: Final = (
    "which pods' images are rewritten is Kubernetes' business: rules name registries, repositories and tags"
)
_LOGIN: Final = "is not carried: logins stand in the node's configuration, registries.HOST.credentials"
_WATCH: Final = (
    "it only watches whether images are there: that is what `registry-mesh doctor` and alerts do here"
)
_EVERY: Final = (
    "all images that pods use: a rule names a registry and repositories; write HOST/REPOSITORY:TAGS"
)
_USE: Final = "is not carried: rules know no pods, so what none of them uses any more stays there"
_PART: Final = "parents are of a whole registry: path / and all images; write a rule for a part of one"
_EVICTED: Final = "is not carried: a cache evicts by use and quota"
_IGNORED: Final = (
    "image-caching-policy: ignore: pods that are left out; exclude the repositories with !PATTERN"
)
_TAGS: Final = "it can match over the name's end: write an expression over tags alone, such as :1\\.2"
_PARTS: Final = re.compile(r"\\.|\[\^?\]?[^\]]*\]|.", re.DOTALL)
_ANY: Final = (".", "\\D", "\\W", "\\S")
_META: Final = frozenset(".*+?[](){}|^$\\")


def kuik(text: str) -> Iterator[Entry]:
    """Resources of kube-image-keeper, of its first and second edition."""
    for document in mappings_of(text, "kuik", "kind"):
        if document.text("kind").endswith("List") and "items" in document:
            document.drop("apiVersion", "metadata")
            for item in document.mappings("items"):
                yield from _resource(item)
        else:
            yield from _resource(document)


def _resource(document: Fields) -> Iterator[Entry]:
    document.drop("apiVersion", "status")
    kind, metadata, spec = document.text("kind"), document.fields("metadata"), document.fields("spec")
    metadata.spare()
    where = f"{kind or 'the file'} {metadata.values.get('name') or ''}".strip()
    makers: dict[str, Callable[[Fields, str], list[Entry]]] = {
        "CachedImage": _cached,
        "Repository": _repository,
        "ImageSetMirror": _mirror,
        "ClusterImageSetMirror": _mirror,
        "ReplicatedImageSet": _replicated,
        "ClusterReplicatedImageSet": _replicated,
    }
    if kind in makers:
        yield from each_entry(document, where, partial(makers[kind], spec, where))
        return
    watching = kind in ("ClusterImageSetAvailability", "ImageMonitor", "RegistryMonitor")
    labels = metadata.fields("labels")
    ignoring = any(
        str(value) == "ignore" and "image-caching-policy" in key for key, value in labels.values.items()
    )
    said = _WATCH if watching else _IGNORED if ignoring else _PODS
    yield Entry(where, refused=said, mark=document.place("kind"))


def _cached(spec: Fields, where: str) -> list[Entry]:
    ref = reference(spec.text("sourceImage"))
    spec.leave(_EVICTED, "expiresAt")
    keys: dict[str, Any] = {"from": ref.registry, "repos": ref.repository, "tags": ref.one}
    if spec.flag("retain"):
        keys["hold"] = "forever"
    return [Entry(where, keys)]


def _repository(spec: Fields, where: str) -> list[Entry]:
    ref = reference(spec.text("name"))
    spec.leave(_LOGIN, "pullSecretNames", "pullSecretsNamespace")
    filters = spec.texts("updateFilters")
    if not filters:
        raise NotCarried(
            "no updateFilters: which tags are kept is known from the pods; import its CachedImages", spec.mark
        )
    keys: dict[str, Any] = {"from": ref.registry, "repos": ref.repository}
    try:
        keys["tags"] = some(
            dict.fromkeys(part for each in filters for part in _tags_of(each, spec.text("name")))
        )
        own = [matching(each) for each in filters]
    except NotCarried as fault:
        raise NotCarried(f"updateFilters: {fault}", spec.place("updateFilters")) from None
    if spec.text("updateInterval"):
        keys["every"] = spec.text("updateInterval")
    spec.notes.append(
        "updateFilters: kuik updates those of the tags that its pods used; all of them are taken here"
    )
    name = spec.text("name")
    return [Entry(where, keys, selects=lambda tag: any(each.search(f"{name}:{tag}") for each in own))]


def _tags_of(expression: str, name: str) -> list[str]:
    """An expression that is looked for in `NAME:TAG`, as patterns of tags, one of each alternative."""
    matching(expression)
    return [_alternative(each, name) for each in alternatives(expression)]


def _alternative(expression: str, name: str) -> str:
    found = matching(expression).search(f"{name}:\0")
    if found is not None and found.end() <= len(name) + 1:
        return "*"
    head, colon, tail = expression.partition(":")
    if colon:
        plain = head.removeprefix("^").replace("\\.", ".")
        whole = plain == name or not head.startswith("^")
        if (
            _META & set(plain.replace(".", ""))
            or not name.endswith(plain)
            or not whole
            or tail.startswith("^")
        ):
            raise NotCarried(f"{expression}: {_TAGS}")
        return searched(f"^{tail}")
    bare = re.sub(r"^(?:\.\*)+", "", expression)
    before = bare[: _crossing(bare)]
    if bare.startswith("^") or (before != bare and (not before or matching(before).search(name))):
        raise NotCarried(f"{expression}: {_TAGS}")
    return searched(bare)


def _crossing(expression: str) -> int:
    """Where the first part begins that a colon can match, groups being one part; the end where there is none."""
    depth = start = 0
    for found in _PARTS.finditer(expression):
        if found[0] == "(":
            start = found.start() if not depth else start
            depth += 1
        elif found[0] == ")":
            depth -= 1
        elif found[0] in _ANY or found[0].startswith("[^"):
            return start if depth else found.start()
    return len(expression)


def _filters(fields: Fields) -> tuple[list[str], list[str]]:
    """What is included and excluded: expressions over whole references."""
    found: list[list[str]] = []
    given = fields.fields("imageFilter")
    newer = fields.fields("filter")
    for key in ("include", "exclude"):
        several = given.texts(key) if "imageFilter" in fields else []
        for item in newer.mappings(key):
            for dimension in ("label", "annotation", "namespace"):
                item.refuse(dimension, _PODS)
            several.append(item.text("image"))
        found.append(several)
    for key in ("podFilter", "namespaceFilter", "podSelector", "namespaceSelector"):
        fields.refuse(key, _PODS)
    return found[0], found[1]


def _mirror(spec: Fields, where: str) -> list[Entry]:
    spec.leave("is not carried: which copy a pod is given is Kubernetes' business", "priority")
    include, exclude = _filters(spec)
    place = spec.place("imageFilter" if "imageFilter" in spec else "filter")
    to = []
    for mirror in spec.mappings("mirrors"):
        mirror.leave(_LOGIN, "credentialSecret")
        mirror.leave("is not carried: which copy a pod is given is Kubernetes' business", "priority")
        _leave_cleanup(mirror)
        path = mirror.text("path").strip("/")
        to.append(
            {"registry": host_of(mirror.text("registry")), "name": f"{path}/{{repo}}" if path else "{repo}"}
        )
    _leave_cleanup(spec)
    if not to:
        raise NotCarried("mirrors: none", spec.mark)
    parts = [_parted(each, place) for each in include or [".*"]]
    left = [_parted(each, place) for each in exclude]
    return [
        Entry(where, _image_rule(host, [p for p in parts if p[0] == host], left, to))
        for host in dict.fromkeys(p[0] for p in parts)
    ]


def _leave_cleanup(fields: Fields) -> None:
    cleanup = fields.fields("cleanup")
    cleanup.drop("retention")
    if cleanup.flag("enabled"):
        fields.notes.append(f"{cleanup.path} (line {fields.place('cleanup').line}) {_USE}")


def _image_rule(
    host: str, parts: Sequence[tuple[str, str, str]], left: Sequence[tuple[str, str, str]], to: list[Any]
) -> dict[str, Any]:
    tags = list(dict.fromkeys(part[2] for part in parts))
    if len(tags) > 1 and len({part[1] for part in parts}) > 1:
        raise NotCarried("several repositories with tags of their own: write an object for each")
    repos = [part[1] for part in parts]
    without = [part for part in left if part[0] == host]
    repos += [f"!{part[1]}" for part in without if part[2] == "*"]
    if any(part[2] != "*" for part in without) and len({part[1] for part in [*parts, *without]}) > 1:
        raise NotCarried("an exclusion of tags of one repository: write an object for it")
    tags += [f"!{part[2]}" for part in without if part[2] != "*"]
    return {"from": host, "repos": some(repos), "tags": some(tags), "to": to[0] if len(to) == 1 else to}


def _parted(expression: str, place: Any) -> tuple[str, str, str]:
    """Registry, repositories and tags of an expression over a whole reference; it is anchored at both ends."""
    host, slash, rest = expression.removeprefix("^").removesuffix("$").partition("/")
    plain = host.replace("\\.", ".")
    path, colon, tags = rest.rpartition(":")
    if not slash or _META & set(plain.replace(".", "")):
        raise NotCarried(f"imageFilter: {expression}: {_EVERY}", place)
    if not colon:
        if not rest.endswith((".+", ".*")):
            raise NotCarried(f"imageFilter: {expression}: no tag can match it; write {expression}:.+", place)
        path, tags = rest, ".+"
    repos = (
        path.replace("\\.", ".")
        if not _META & set(path.replace("\\.", "").replace(".", ""))
        else f"re: {path}"
    )
    matching(expression)
    return str(host_of(plain)), repos, "*" if tags in (".+", ".*") else f"re: {tags}"


def _replicated(spec: Fields, where: str) -> list[Entry]:
    spec.leave("is not carried: which copy a pod is given is Kubernetes' business", "priority")
    upstreams = sorted(spec.mappings("upstreams"), key=lambda each: each.number("priority"))
    for each in upstreams:
        each.leave(_LOGIN, "credentialSecret")
        include, exclude = _filters(each)
        if exclude or include not in ([], [".*"], ["/.*"], [".+"], ["/.+"]):
            raise NotCarried(f"{each.path}.imageFilter: {_PART}", each.place("imageFilter"))
    whole = [each for each in upstreams if not each.text("path").strip("/")]
    if not whole:
        raise NotCarried(f"upstreams: {_PART}", spec.place("upstreams"))
    registry = str(host_of(whole[0].text("registry")))
    groups = [address(f"{each.text('registry')}/{each.text('path').strip('/')}") for each in upstreams]
    return [parents_of(where, registry, groups, spec.mark)]
