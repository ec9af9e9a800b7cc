"""Types of what a tag names: words of the field, or globs over media types."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

WORDS: Final = {
    "image": (
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.docker.container.image.rootfs.*",
    ),
    "chart": ("application/vnd.cncf.helm.*",),
    "sif": ("application/vnd.sylabs.sif.*",),
}


def fits(types: Iterable[str], type: str) -> bool:
    """Whether a type (artifactType, else the config's media type) is wanted: one of `types` takes it, and no `!` does
    not. Only `!`: all others are."""
    types = tuple(types)
    taking = [each for each in types if not each.startswith("!")]
    if any(_matches(each[1:], type) for each in types if each.startswith("!")):
        return False
    return not taking or any(_matches(each, type) for each in taking)


def _matches(word: str, type: str) -> bool:
    return any(fnmatchcase(type, glob) for glob in WORDS.get(word, (word,)))
