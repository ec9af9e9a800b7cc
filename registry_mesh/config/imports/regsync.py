"""regsync of regclient."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from registry_mesh.config.imports.entry import Entry, each_entry
from registry_mesh.config.imports.fields import Fields, NotCarried, over
from registry_mesh.config.imports.source import mapping_of
from registry_mesh.config.imports.spelling import (
    NO_BUILD,
    alternatives,
    half_anchored,
    matching,
    reference,
    some,
    to_of,
)
from registry_mesh.config.rule_values import host_of
from registry_mesh.oci.reference import is_tag

_TEMPLATE: Final = "a template: rules read no environment; run `regsync config` and import what it prints"
_OURS: Final = "is not carried: how registries are asked stands in the node's configuration"
_COPYING: Final = (
    "is not carried: manifests, indexes and blobs are always compared by digest and copied as they are"
)
_FORMER: Final = "is not carried: every tag's former values are kept, and can be brought back"
_IMAGES: Final = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
    }
)
_KNOWN: Final = ("source", "target", "type", "tags", "tagSets", "repos", "interval", "schedule", "platform")


def regsync(text: str) -> Iterator[Entry]:
    """`regsync.yml` of regclient."""
    document = mapping_of(text, "regsync", "sync")
    document.drop("version", *(key for key in document.values if key.startswith("x-")))
    document.leave("is not carried: logins, addresses and mirrors stand in registries.HOST", "creds")
    defaults, entries = document.fields("defaults"), document.mappings("sync")
    for each in entries:
        whole = over(defaults, each)
        where = f"{each.values.get('source')} -> {each.values.get('target')}"
        defaults.spare()
        yield from each_entry(whole, where, partial(_entry, whole, where))
    yield from each_entry(document, "the file", list)


def _entry(entry: Fields, where: str) -> Iterator[Entry]:
    source, target, kind = entry.text("source"), entry.text("target"), entry.text("type", "repository")
    for key in ("source", "target"):
        if "{{" in entry.text(key):
            raise NotCarried(f"{key}: {_TEMPLATE}", entry.place(key))
        if entry.text(key).startswith(("ocidir:", "ocifile:")):
            raise NotCarried(
                f"{key}: a layout on a disk; rules copy from and to registries", entry.place(key)
            )
    entry.refuse("hooks", "rules run nothing")
    entry.refuse("referrerSource", "companions are looked for beside their image only")
    entry.refuse("referrerTarget", "companions are looked for beside their image only")
    entry.leave(_OURS, "ratelimit", "parallel", "skipDockerConfig", "cacheCount", "cacheTime")
    entry.leave(_OURS, "userAgent", "blobLimit", "referrerSlow")
    entry.leave(_COPYING, "fastCopy", "fastCheck", "forceRecursive")
    entry.leave(_FORMER, "backup")
    if entry.flag("includeExternal"):
        entry.refuse("includeExternal", "layers at foreign addresses are not fetched; take it out")
    types = set(entry.texts("mediaTypes"))
    if types and not types >= _IMAGES:
        raise NotCarried(
            f"mediaTypes: {', '.join(sorted(_IMAGES - types))} left out: rules take an image in whatever form it "
            "is; take the line out, or say types",
            entry.place("mediaTypes"),
        )
    keys = _common(entry)
    if kind == "registry":
        yield from _registry(entry, source, target, keys, where)
        return
    if kind not in ("image", "repository"):
        raise NotCarried(f"type: {kind}: image, repository or registry", entry.place("type"))
    ref, to = reference(source), reference(target)
    keys = {"from": ref.registry, "repos": ref.repository, **keys, "to": to_of(to)}
    if kind == "image":
        entry.leave("means nothing beside type: image", "tags", "tagSets", "repos")
        yield Entry(where, {**keys, "tags": ref.one})
        return
    entry.leave("means nothing beside type: repository", "repos")
    yield from _tag_sets(entry, keys, where)


def _common(entry: Fields) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    if entry.text("interval"):
        keys["every"] = entry.text("interval")
    if entry.text("schedule"):
        keys["every"] = f"cron {entry.text('schedule')} UTC"
        entry.notes.append("schedule: regsync means the zone of its machine; UTC is written here")
    referrers, by_tag = entry.flag("referrers"), entry.flag("digestTags")
    filters = entry.mappings("referrerFilters")
    if not (referrers or by_tag):
        keys["with"] = "none"
    elif filters:
        keys["with"] = [_artifact_type(each) for each in filters]
    platforms = [*([entry.text("platform")] if entry.text("platform") else []), *entry.texts("platforms")]
    if platforms:
        keys["platforms"] = some(platforms)
        entry.notes.append(
            "platform: the index keeps its digest here; regsync copies the platform's image in its place"
        )
    return keys


def _artifact_type(each: Fields) -> str:
    each.refuse("annotations", "companions are told by their artifactType only")
    each.refuse("fieldAnnotations", "companions are told by their artifactType only")
    found = each.text("artifactType")
    if not found:
        raise NotCarried("a filter of referrers without artifactType: write with: [TYPE]", each.mark)
    return found


def _registry(entry: Fields, source: str, target: str, keys: dict[str, Any], where: str) -> Iterator[Entry]:
    host, _, folder = source.partition("/")
    to_host, _, to_folder = target.partition("/")
    if folder:
        raise NotCarried("source: of type registry it is a host only", entry.place("source"))
    repos = entry.fields("repos")
    allow, deny = repos.texts("allow"), repos.texts("deny")
    patterns = [
        *(map(half_anchored, allow) if allow else ["**"]),
        *(f"!{half_anchored(each)}" for each in deny),
    ]
    to = {"registry": host_of(to_host), "name": f"{to_folder}/{{repo}}" if to_folder else "{repo}"}
    keys = {"from": host_of(host), "repos": some(patterns), **keys, "to": to}
    yield from _tag_sets(entry, keys, where)


def _tag_sets(entry: Fields, common: dict[str, Any], where: str) -> Iterator[Entry]:
    sets = entry.mappings("tagSets") or [entry.fields("tags")]
    if "tagSets" in entry:
        entry.leave("is not carried: tagSets stand beside it, and regsync takes those", "tags")
    for each in sets:
        yield _tag_set(each, common, where)


def _tag_set(tags: Fields, common: dict[str, Any], where: str) -> Entry:
    allow, deny, ranges = tags.texts("allow"), tags.texts("deny"), tags.texts("semverRange")
    for key, several in (("allow", allow), ("deny", deny)):
        for each in several:
            if len(alternatives(each)) > 1:
                said = "(…) is meant, probably: of alternatives only the first is anchored before, the last behind"
                tags.notes.append(f"{tags.name(key)} (line {tags.place(key).line}) {each}: {said}")
    try:
        took = [each if is_tag(each) and "." not in each else half_anchored(each) for each in allow]
        refused = [f"!{half_anchored(each)}" for each in deny]
        allowed, denied = _anchored(allow), _anchored(deny)
    except NotCarried as fault:
        raise NotCarried(f"{tags.name('allow' if allow else 'deny')}: {fault}", tags.mark) from None
    if ranges:
        sides = [f"semver+: {each}" for each in ranges]
        took = [f"{side} & {each}" for side in sides for each in took] if took else sides

    def selects(tag: str) -> bool:
        return (not allowed or any(e.search(tag) for e in allowed)) and not any(e.search(tag) for e in denied)

    patterns = [*(took or ["*"]), *([NO_BUILD] if ranges else []), *refused]
    return Entry(where, {**common, "tags": some(patterns)}, selects=None if ranges else selects)


def _anchored(several: list[str]) -> list[re.Pattern[str]]:
    return [matching(f"^{each}$") for each in several]
