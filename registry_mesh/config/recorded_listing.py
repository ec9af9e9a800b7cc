"""Recorded listings: what sources showed, or a node held, at one time; JSON Lines, one repository a line.

{"schema": "registry-mesh/listing/1"}
{"registry": "docker.io", "repository": "library/alma", "listed_at": 1764400000, "tags": {"9": "sha256:…"}}

A tag is its digest, or a mapping: `digest`, `since`, `here`, `moves`, `type`, `labels`, `signed_by`, `blobs` (digest to
size), `platforms` (`os/architecture` to the digests of its blobs), `rules` (that wanted it), `gone`, `unselected`
(since when), `held_until` (a time, or "forever"), `made_of` (REGISTRY/REPOSITORY and tag of each that it was made of),
`partial` (true: rules left out some of it, and `blobs` are those that are here).
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
from registry_mesh.replication.decision import Place, TagFacts
from registry_mesh.replication.listing import Held, Recorded, Weight
from registry_mesh.replication.pattern import pinned_digest

SCHEMA: Final = "registry-mesh/listing/1"
_OF_BLOBS: Final = frozenset({"blobs"})
_OF_PART: Final = frozenset({"partial"})
_OF_HELD: Final = frozenset({"rules", "gone", "unselected", "held_until", "made_of"})


def read_listing(path: Path) -> Iterator[Recorded]:
    """One repository after the other; `ConfigInvalid` at the first line that cannot be read."""
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
                if found is not None:
                    yield found
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


def _line(number: int, value: Mapping[str, Any]) -> Recorded | None:  # Any: JSON as it came
    if not isinstance(value, dict):
        raise ValueError("a line is a mapping")
    if "schema" in value:
        if value["schema"] != SCHEMA:
            raise ValueError(f"{value['schema']} is not {SCHEMA}")
        return None
    if number == 1:
        raise ValueError("its first line names no schema")
    return recorded(value)


def recorded(value: Mapping[str, Any]) -> Recorded:  # Any: JSON as it came
    """A repository of a listing. `ValueError`, `TypeError`, `KeyError`, `Refusal` where it is none."""
    if not isinstance(value["registry"], str) or not isinstance(value["repository"], str):
        raise ValueError("registry and repository are texts")
    registry = parse_registry(value["registry"])
    repository: RepositoryName = parse_name(value["repository"])
    tags = as_mapping(value, "tags")
    return Recorded(
        Place(registry, repository),
        as_time(value, "listed_at") or 0.0,
        {_tag(tag): _facts(each) for tag, each in tags.items()},
        {Tag(tag): _weight(each["blobs"], each) for tag, each in tags.items() if _has(each, _OF_BLOBS)},
        {Tag(tag): _held(each) for tag, each in tags.items() if _has(each, _OF_HELD)},
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
    blobs = value.get("blobs")
    return TagFacts(
        Digest.parse(value["digest"]) if "digest" in value else None,
        as_time(value, "since"),
        as_count(value, "moves") or 0,
        sum(as_sizes(blobs).values()) if blobs is not None else as_count(value, "size"),
        as_text(value, "type"),
        as_labels(value),
        frozenset(as_texts(value, "signed_by")) if "signed_by" in value else None,
        has=frozenset(as_texts(value, "has")) if "has" in value else None,
        here=as_time(value, "here"),
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
