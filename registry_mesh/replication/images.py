"""What a tag names, image by image. A rule looks at those that its own `platforms` take, whatever other rules want."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from registry_mesh.replication.rules import Platforms, Rule, takes_platform


@dataclass(frozen=True, slots=True)
class Image:
    """One image of what a tag names: the tag's own manifest, or one that its index names."""

    platform: str = ""
    """`OS/ARCHITECTURE[/VARIANT]` that the index says it is for; empty: for all."""
    type: str = ""
    """artifactType of the index or its own, else the media type of its config."""
    labels: Mapping[str, str | None] = field(default_factory=dict, hash=False)
    """By name what the tag's own annotations, else its config say; None: it has no such label. Labels that nobody
    asked for are not known."""


def chosen(images: Iterable[Image], platforms: Platforms) -> Iterator[Image]:
    """Those that `platforms` take."""
    return (each for each in images if takes_platform(platforms, each.platform))


def type_of(images: Iterable[Image], platforms: Platforms) -> str:
    """The type of the first that `platforms` take; empty where there is none."""
    return next((each.type for each in chosen(images, platforms)), "")


def values(images: Iterable[Image], platforms: Platforms, label: str) -> tuple[str | None, ...] | None:
    """The values of one label of those that `platforms` take, None among them where an image lacks it; None: it is not
    known of one of them."""
    found = tuple(chosen(images, platforms))
    if any(label not in each.labels for each in found):
        return None
    return tuple(each.labels[label] for each in found)


def joined(one: Sequence[Image] | None, other: Sequence[Image] | None) -> tuple[Image, ...] | None:
    """What two looks at the same images found; None where neither looked."""
    if one is None or other is None:
        found = other if one is None else one
        return None if found is None else tuple(found)
    labels = {each.platform: each.labels for each in one}
    return tuple(replace(each, labels={**labels.get(each.platform, {}), **each.labels}) for each in other)


def asked(rules: Iterable[Rule], platform: str) -> tuple[str, ...]:
    """The labels that `rules` look for in an image that is for `platform`, each once."""
    mine = (rule for rule in rules if rule.labels and takes_platform(rule.platforms, platform))
    return tuple(dict.fromkeys(name for rule in mine for name, _ in rule.labels))
