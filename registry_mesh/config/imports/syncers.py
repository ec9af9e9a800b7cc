"""regsync, skopeo sync, dregsy: copies by list, range and expression."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from registry_mesh.config.imports.entry import Entry, NotCarried
from registry_mesh.config.imports.spelling import (
    alternatives,
    exact_tags,
    half_anchored,
    hub_name,
    masterminds,
    matching,
    period,
    reference,
    searched,
    some,
    to_of,
)
from registry_mesh.config.rule_values import host_of
from registry_mesh.oci.reference import is_tag

_TEMPLATE: Final = "a template: rules read no environment; run `regsync config` and import what it prints"


def regsync(text: str) -> Iterator[Entry]:
    """`regsync.yml` of regclient."""
    document = yaml.safe_load(text) or {}
    defaults = document.get("defaults") or {}
    for entry in document.get("sync") or []:
        where = f"{entry.get('source')} -> {entry.get('target')}"
        try:
            yield from _regsync({**defaults, **entry}, where)
        except NotCarried as fault:
            yield Entry(where, refused=str(fault))


def _regsync(entry: Mapping[str, Any], where: str) -> Iterator[Entry]:
    source, target = str(entry.get("source", "")), str(entry.get("target", ""))
    if "{{" in source + target:
        raise NotCarried(_TEMPLATE)
    if entry.get("hooks"):
        raise NotCarried("hooks: rules run nothing")
    if entry.get("referrerSource") or entry.get("referrerTarget"):
        raise NotCarried("companions are looked for beside their image only")
    kind = entry.get("type", "repository")
    if kind == "registry":
        raise NotCarried("a whole registry: write which repositories")
    ref, to = reference(source), reference(target)
    common: dict[str, Any] = {"from": ref.registry, "repos": ref.repository}
    if entry.get("interval"):
        common["every"] = str(entry["interval"])
    if entry.get("schedule"):
        common["every"] = f"cron {entry['schedule']} UTC"
    if not entry.get("referrers"):
        common["with"] = "none"
    if entry.get("platform"):
        common["platforms"] = str(entry["platform"])
    common["to"] = to_of(to)
    if kind == "image":
        yield Entry(where, {**common, "tags": ref.tags if ref.tag else "latest"})
        return
    tags = entry.get("tags") or {}
    sets = entry.get("tagSets") or ([tags] if tags else [{}])
    for each in sets:
        yield _tag_set(each, common, where)


def _tag_set(tags: Mapping[str, Any], common: Mapping[str, Any], where: str) -> Entry:
    allow, deny = list(map(str, tags.get("allow") or [])), list(map(str, tags.get("deny") or []))
    ranges = list(map(str, tags.get("semverRange") or []))
    notes = tuple(
        f"{each}: (…) is meant, probably: of alternatives only the first is anchored before, the last behind"
        for each in (*allow, *deny)
        if len(alternatives(each)) > 1
    )
    took = [each if is_tag(each) and "." not in each else half_anchored(each) for each in allow]
    if ranges:
        sides = [f"semver+: {each}" for each in ranges]
        took = [f"{side} & {each}" for side in sides for each in took] if took else sides
    patterns = [*(took or ["*"]), *(f"!{half_anchored(each)}" for each in deny)]
    allowed = [matching(f"^{each}$") for each in allow]
    denied = [matching(f"^{each}$") for each in deny]

    def selects(tag: str) -> bool:
        return (not allowed or any(e.search(tag) for e in allowed)) and not any(e.search(tag) for e in denied)

    return Entry(where, {**common, "tags": some(patterns)}, notes=notes, selects=None if ranges else selects)


def skopeo(text: str) -> Iterator[Entry]:
    """The YAML of `skopeo sync --src yaml`."""
    for host, registry in (yaml.safe_load(text) or {}).items():
        for repository, tags in (registry.get("images") or {}).items():
            yield _skopeo(host, repository, tags, "images")
        for repository, written in (registry.get("images-by-semver") or {}).items():
            yield _skopeo(host, repository, written, "images-by-semver")
        for repository, written in (registry.get("images-by-tag-regex") or {}).items():
            yield _skopeo(host, repository, written, "images-by-tag-regex")


def _skopeo(host: str, repository: str, written: Any, kind: str) -> Entry:
    registry = host_of(host.partition("/")[0])
    folder = host.partition("/")[2]
    name = hub_name(registry, f"{folder}/{repository}" if folder else repository)
    where = f"{host}: {kind}: {repository}"
    own = None
    try:
        if kind == "images":
            tags: str | list[str] = some(exact_tags(written)) if written else "*"
        elif kind == "images-by-semver":
            tags = masterminds(str(written))
        else:
            tags, own = searched(str(written)), matching(str(written))
    except NotCarried as fault:
        return Entry(where, refused=str(fault))
    keys = {"from": registry, "repos": name, "tags": tags}
    return Entry(where, keys, selects=None if own is None else lambda tag: own.search(tag) is not None)


def dregsy(text: str) -> Iterator[Entry]:
    """The configuration of dregsy."""
    for task in (yaml.safe_load(text) or {}).get("tasks") or []:
        source = host_of(str((task.get("source") or {}).get("registry", "")))
        target = str((task.get("target") or {}).get("registry", ""))
        for mapping in task.get("mappings") or []:
            where = f"{task.get('name')}: {mapping.get('from')}"
            try:
                yield from _mapping(task, mapping, source, target, where)
            except NotCarried as fault:
                yield Entry(where, refused=str(fault))


def _mapping(
    task: Mapping[str, Any], mapping: Mapping[str, Any], source: str, target: str, where: str
) -> Iterator[Entry]:
    name, to = str(mapping.get("from", "")), str(mapping.get("to") or "")
    if name.startswith("regex:") or to.startswith("regex:"):
        raise NotCarried("groups of an expression; templates know folders only")
    keys: dict[str, Any] = {"from": source, "repos": hub_name(source, name.strip("/"))}
    if task.get("interval"):
        keys["every"] = period(float(task["interval"]))
    keys["to"] = {"registry": host_of(target), "name": to.strip("/") or "{repo}"}
    platform = mapping.get("platform")
    notes = () if platform else ("dregsy takes the platform of its own machine where none is said",)
    if platform and platform != "all":
        keys["platforms"] = str(platform)
    taking, inverted, narrowing, keep = _dregsy_tags(mapping.get("tags") or [])
    if keep:
        keys["keep"] = keep
        notes = (*notes, "keep counts per pattern here, over all there")
    if taking or not inverted:
        wanted = [f"{each} & {' & '.join(narrowing)}" if narrowing else each for each in taking or ["*"]]
        yield Entry(where, {**keys, "tags": some(wanted)}, notes=notes)
    for each in inverted:
        yield Entry(where, {**keys, "tags": ["*", f"!{each}"]}, notes=notes)


def _dregsy_tags(tags: list[Any]) -> tuple[list[str], list[str], list[str], int]:
    taking: list[str] = []
    inverted: list[str] = []
    narrowing: list[str] = []
    keep = 0
    for each in map(str, tags):
        kind, colon, rest = each.partition(":")
        rest = rest.strip()
        if colon and kind == "semver":
            taking.append(f"semver+: {rest}")
        elif colon and kind == "regex":
            (inverted if rest.startswith("!") else taking).append(
                half_anchored(rest.removeprefix("!").strip())
            )
        elif colon and kind == "keep":
            words = rest.split()
            if words[:1] == ["latest"] and len(words) == 2 and words[1].isdecimal():
                keep = int(words[1])
            else:
                narrowing.append(half_anchored(rest.removeprefix("regex:").strip()))
        else:
            taking += exact_tags(each)
    return taking, inverted, narrowing, keep
