"""What a node tells those below it of its registries that are cut off: none of their parents gives anything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

CUT_OFF: Final = "Registry-Mesh-Cut-Off"
"""The field, in answers to `/v2/` and to what nodes ask each other: `REGISTRY=SECONDS`, since when (seconds since the
epoch), as many as there are, a space between two."""

LIMIT: Final = 700
"""Characters at most: what is beyond is not told."""

_ONE: Final = re.compile(r"([^\s=]{1,255})=(\d{1,12})")


def written(since: Mapping[str, float]) -> str:
    """The field's value. The nearest second: it is written anew at each tier, and is to be the same at the lowest."""
    told = ""
    for registry, when in since.items():
        more = f"{told} {registry}={max(0, round(when))}".lstrip()
        if len(more) > LIMIT:
            break
        told = more
    return told


def parsed(told: str) -> dict[str, float]:
    """Since when which registry is cut off, of a field's value; what cannot be read is left out."""
    found = (_ONE.fullmatch(each) for each in told[:LIMIT].split())
    return {each[1]: float(each[2]) for each in found if each is not None}
