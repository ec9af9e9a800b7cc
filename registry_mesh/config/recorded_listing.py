"""Recorded listings: what sources showed, or a node held, at one time; JSON Lines, one repository a line.

{"schema": "registry-mesh/listing/1"}
{"registry": "docker.io", "repository": "library/alma", "listed_at": 1764400000, "tags": {"9": "sha256:…"}}

A tag is its digest, or a mapping: `digest`, `since`, `here`, `moves`, `type`, `labels`, `signed_by`, `blobs` (digest to
size), `platforms` (`os/architecture` to the digests of its blobs), `rules` (that wanted it), `gone`, `unselected`
(since when), `held_until` (a time, or "forever"), `made_of` (REGISTRY/REPOSITORY and tag of each that it was made of),
`partial` (true: rules left out some of it, and `blobs` are those that are here), `images` (of each what is asked of it:
`platform`, `type`, and `labels`, null for one that it lacks). Beside `tags`, what a node holds may have `seen`: by tag
the value that its source showed last, with `digest`, `since`, `moves`, and `released` (true).
A line `{"untagged": ["sha256:…"]}` names blobs that a node has and that none of its tags names, `{"deleted": {REGISTRY:
NUMBER}}` says how many tags it deleted within 24 hours.
Times are seconds since the epoch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from registry_mesh.config.files import demand_file, unreadable
from registry_mesh.config.finding import ConfigInvalid, Finding, Mark
from registry_mesh.config.listed_values import (
    as_count,
    as_flag,
    as_images,
    as_labels,
    as_mapping,
    as_sizes,
    as_text,
    as_texts,
    as_time,
)
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RepositoryName, Tag, parse_name, parse_registry, parse_tag
from registry_mesh.oci.refusals import Refusal
from registry_mesh.replication.decision import Place
from registry_mesh.replication.listing import Beside, Held, Recorded
from registry_mesh.replication.pattern import pinned_digest
from registry_mesh.replication.tag_facts import TagFacts
from registry_mesh.replication.weight import Weight

SCHEMA: Final = "registry-mesh/listing/1"
UNTAGGED: Final = "untagged"
DELETED: Final = "deleted"
_BESIDE: Final = frozenset({UNTAGGED, DELETED})
_OF_PART: Final = frozenset({"partial"})
_OF_HELD: Final = frozenset({"rules", "gone", "unselected", "held_until", "made_of"})


def read_listing(path: Path, beside: Beside | None = None) -> Iterator[Recorded]:
    """One repository after the other; `ConfigInvalid` at the first line that cannot be read. `beside`: gets what is of
    none."""
    demand_file(path)
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    found = _line(number, json.loads(line))
                except (ValueError, TypeError, AttributeError, KeyError, RecursionError, Refusal) as fault:
                    why = _why(fault)
                    raise _invalid(path, number, why) from None
                if isinstance(found, Recorded):
                    yield found
                elif beside is not None:
                    join(beside, found)
    except OSError as fault:
        raise unreadable(path, fault) from None


def _why(fault: Exception) -> str:
    match fault:
        case Refusal():
            return fault.reason
        case KeyError():
            return f"{fault.args[0]} is missing"
        case RecursionError():
            return "nested too deeply"
        case json.JSONDecodeError() | UnicodeDecodeError():
            return f"not JSON: {fault}"
        case ValueError():
            return str(fault)
    return "another form of line"


def _invalid(path: Path, line: int, what: str) -> ConfigInvalid:
    how = f"a line is a repository of {SCHEMA}"
    return ConfigInvalid([Finding(str(path), Mark(line, 1), (), f"no recorded listing: {what}", how)])


def _line(number: int, value: Mapping[str, Any]) -> Recorded | Beside:  # Any: JSON as it came
    """A repository, or what is of none."""
    if not isinstance(value, dict):
        raise ValueError("a line is a mapping")
    if "schema" in value:
        if value["schema"] != SCHEMA:
            raise ValueError(f"{value['schema']} is not {SCHEMA}")
        return Beside()
    if number == 1:
        raise ValueError("its first line names no schema")
    return beside_of(value) if is_beside(value) else recorded(value)


def is_beside(value: Mapping[str, Any]) -> bool:  # Any: JSON as it came
    """Whether a line is of no repository."""
    return not _BESIDE.isdisjoint(value)


def beside_of(value: Mapping[str, Any]) -> Beside:  # Any: JSON as it came
    """What such a line says. `ValueError`, `Refusal` where it says it otherwise."""
    untagged = set(as_texts(value, UNTAGGED))
    for each in untagged:
        Digest.parse(each)
    return Beside(untagged, dict(as_sizes(value.get(DELETED, {}))))


def join(beside: Beside, more: Beside) -> None:
    """Both together."""
    beside.untagged |= more.untagged
    for registry, count in more.deleted.items():
        beside.deleted[registry] = beside.deleted.get(registry, 0) + count


def recorded(value: Mapping[str, Any]) -> Recorded:  # Any: JSON as it came
    """A repository of a listing. `ValueError`, `TypeError`, `KeyError`, `Refusal` where it is none."""
    if not isinstance(value["registry"], str) or not isinstance(value["repository"], str):
        raise ValueError("registry and repository are texts")
    registry = parse_registry(value["registry"])
    repository: RepositoryName = parse_name(value["repository"])
    tags = as_mapping(value, "tags")
    facts = {_tag(tag): _facts(each) for tag, each in tags.items()}
    return Recorded(
        Place(registry, repository),
        as_time(value, "listed_at") or 0.0,
        facts,
        {tag: each.weight for tag, each in facts.items() if each.weight is not None},
        {Tag(tag): _held(each) for tag, each in tags.items() if _has(each, _OF_HELD)},
        {_tag(tag): _facts(each) for tag, each in as_mapping(value, "seen").items()},
        frozenset(
            Tag(tag) for tag, each in tags.items() if _has(each, _OF_PART) and as_flag(each, "partial")
        ),
        as_text(value, "error"),
    )


def _tag(text: str) -> Tag:
    """A tag, or a pinned manifest without one, `@DIGEST`. `Refusal`."""
    return Tag(text) if pinned_digest(text) is not None else parse_tag(text)


def _has(value: object, keys: frozenset[str]) -> bool:
    return isinstance(value, dict) and not keys.isdisjoint(value)


def _facts(value: str | Mapping[str, Any]) -> TagFacts:
    if isinstance(value, str):
        return TagFacts(Digest.parse(value))
    if not isinstance(value, dict):
        raise ValueError("a tag is a digest or a mapping")
    weight = _weight(value["blobs"], value) if "blobs" in value else None
    return TagFacts(
        Digest.parse(value["digest"]) if "digest" in value else None,
        as_time(value, "since"),
        as_count(value, "moves") or 0,
        as_count(value, "size") if weight is None else sum(weight.blobs.values()),
        weight,
        as_text(value, "type"),
        as_labels(value),
        frozenset(as_texts(value, "signed_by")) if "signed_by" in value else None,
        has=frozenset(as_texts(value, "has")) if "has" in value else None,
        here=as_time(value, "here"),
        released=as_flag(value, "released"),
        signatures=as_text(value, "signatures") or "",
        images=as_images(value),
    )


def _weight(blobs: Mapping[str, int], value: Mapping[str, Any]) -> Weight:
    platforms = as_mapping(value, "platforms")
    return Weight(
        as_sizes(blobs),
        {str(name): frozenset(as_texts(platforms, name)) for name in platforms},
    )


def _held(value: Mapping[str, Any]) -> Held:
    return Held(
        as_texts(value, "rules"),
        as_time(value, "gone"),
        as_time(value, "unselected"),
        math.inf if value.get("held_until") == "forever" else as_time(value, "held_until"),
        tuple(_source(place, tag) for place, tag in value.get("made_of", ())),
    )


def _source(place: str, tag: str) -> tuple[Place, Tag]:
    registry, _, repository = place.partition("/")
    return Place(parse_registry(registry), parse_name(repository)), _tag(tag)
