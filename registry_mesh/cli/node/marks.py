"""Marks of states on a terminal; a word stands beside each."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Final

Marks = Mapping[str, str]

SIGNS: Final = {"well": "●", "warn": "▲", "broken": "■", "waits": "○"}
LETTERS: Final = {"well": "+", "warn": "!", "broken": "x", "waits": "o"}
"""Where standard output cannot spell the signs."""


def marks() -> Marks:
    """Those that standard output can spell."""
    try:
        "".join(SIGNS.values()).encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return LETTERS
    return SIGNS


def worst(states: Iterable[str]) -> str:
    """The state that all together come to."""
    found = set(states)
    return next((state for state in ("broken", "warn") if state in found), "well")
