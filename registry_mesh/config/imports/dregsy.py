"""dregsy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from registry_mesh.config.imports.entry import Entry, each_entry
from registry_mesh.config.imports.fields import Fields, NotCarried
from registry_mesh.config.imports.source import mapping_of
from registry_mesh.config.imports.spelling import exact_tags, half_anchored, hub_name, matching, period, some
from registry_mesh.config.rule_values import host_of

_OURS: Final = "is not carried: logins and how registries are asked stand in the node's configuration"
_NO_BUILD: Final = "re: [^_]*"
"""Beside exact tags, which may hold a `_`: 1.2.3_x is no version to dregsy."""


def dregsy(text: str) -> Iterator[Entry]:
    """The configuration of dregsy."""
    document = mapping_of(text, "dregsy", "tasks")
    document.leave(
        _OURS, "relay", "skopeo", "docker", "dockerhost", "api-version", "lister", "watch", "platform"
    )
    for task in document.mappings("tasks"):
        name, interval = task.text("name"), task.number("interval")
        task.leave("is not carried: what a run did is in its history", "verbose")
        source, target = (_side(task.fields(key)) for key in ("source", "target"))
        notes, task.notes = task.notes, []
        for mapping in task.mappings("mappings"):
            where = f"{name}: {mapping.values.get('from')}"
            if not interval:
                mapping.notes.append("interval: 0 or none is once, when dregsy starts; run it by hand here")
            mapping.notes += notes
            every = period(float(interval)) if interval else "manual"
            yield from each_entry(mapping, where, partial(_mapping, mapping, source, target, every, where))
            notes = []
        yield from each_entry(task, name, list)
    yield from each_entry(document, "the file", list)


def _side(side: Fields) -> str:
    side.leave(_OURS, "auth", "auth-refresh", "skip-tls-verify", "lister")
    return side.text("registry")


def _mapping(mapping: Fields, source: str, target: str, every: str, where: str) -> Iterator[Entry]:
    name, to = mapping.text("from"), mapping.text("to")
    for key, written in (("from", name), ("to", to)):
        if written.startswith("regex:"):
            raise NotCarried(
                f"{key}: groups of an expression; templates know folders only", mapping.place(key)
            )
    first, _, folder = source.partition("/")
    out, _, below = target.partition("/")
    registry = host_of(first)
    whole = "/".join(each for each in (folder, name.strip("/")) if each)
    path = "/".join(each for each in (below, to.strip("/") or "{repo}") if each)
    keys: dict[str, Any] = {"from": registry, "repos": hub_name(registry, whole), "every": every}
    keys["to"] = {"registry": host_of(out), "name": path}
    platform = mapping.text("platform")
    if not platform:
        mapping.notes.append("dregsy takes the platform of its own machine where none is said")
    elif platform != "all":
        keys["platforms"] = platform
    tags = _tags(mapping)
    if tags.keep:
        keys["keep"] = tags.keep
        mapping.notes.append("keep counts per pattern here, over all there")
    if tags.taking or not tags.inverted:
        wanted = [
            f"{each} & {' & '.join(tags.narrowing)}" if tags.narrowing else each
            for each in tags.taking or ["*"]
        ]
        exact = [each for each in tags.exact if each not in wanted]
        yield Entry(
            where,
            {**keys, "tags": some([*exact, *(wanted if tags.taking or not exact else [])])},
            selects=tags.selects,
        )
    elif tags.exact:
        yield Entry(where, {**keys, "tags": some(tags.exact)})
    for each in tags.inverted:
        narrowed = ["*"] if not tags.narrowing else [" & ".join(tags.narrowing)]
        yield Entry(where, {**keys, "tags": [*narrowed, f"!{each}"]})


@dataclass(slots=True)
class _Tags:
    exact: list[str] = field(default_factory=list)
    taking: list[str] = field(default_factory=list)
    inverted: list[str] = field(default_factory=list)
    narrowing: list[str] = field(default_factory=list)
    keep: int = 0
    own: list[str] = field(default_factory=list)

    @property
    def selects(self) -> Any:
        """dregsy's own way, where expressions alone take."""
        if self.keep or self.narrowing or len(self.own) != len(self.taking) or not self.own:
            return None
        matchers, exact = [matching(f"^{each}$") for each in self.own], set(self.exact)
        return lambda tag: tag in exact or any(each.search(tag) for each in matchers)


def _tags(mapping: Fields) -> _Tags:
    found = _Tags()
    for each in mapping.texts("tags"):
        kind, colon, rest = each.partition(":")
        rest = rest.strip()
        try:
            _take(found, kind if colon else "", rest, each)
        except NotCarried as fault:
            raise NotCarried(f"tags: {fault}", mapping.place("tags")) from None
    return found


def _take(found: _Tags, kind: str, rest: str, each: str) -> None:
    if kind == "semver":
        found.taking.append(f"semver+: {rest} & {_NO_BUILD}")
    elif kind == "regex" and rest.startswith("!"):
        found.inverted.append(half_anchored(rest[1:].strip()))
    elif kind == "regex":
        found.taking.append(half_anchored(rest))
        found.own.append(rest)
    elif kind == "keep":
        words = rest.split()
        if words[:1] == ["latest"] and len(words) == 2 and words[1].isdecimal():
            found.keep = int(words[1])
        elif rest.startswith("regex:"):
            found.narrowing.append(half_anchored(rest.removeprefix("regex:").strip()))
        elif rest.startswith("semver:"):
            found.narrowing.append(f"semver+: {rest.removeprefix('semver:').strip()} & {_NO_BUILD}")
        else:
            raise NotCarried(f"{each}: keep: latest N, or keep: regex: X")
    else:
        found.exact += exact_tags(each)
