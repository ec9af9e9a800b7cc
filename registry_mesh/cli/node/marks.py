"""Marks of states on a terminal; a word stands beside each."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Final

import click

Marks = Mapping[str, str]

SIGNS: Final = {"well": "●", "warn": "▲", "broken": "■", "waits": "○"}
LETTERS: Final = {"well": "+", "warn": "!", "broken": "x", "waits": "o"}
"""Where standard output cannot spell the signs."""


_COLOURS: Final = {"●": "green", "▲": "yellow", "■": "red", "○": "bright_black"}
_SIGN: Final = re.compile("[●▲■○]")


def say(text: str) -> None:
    """Print it, its marks in colour where standard output is a terminal, or `--color always` says so."""
    click.echo(_SIGN.sub(lambda sign: click.style(sign[0], fg=_COLOURS[sign[0]]), text))


def choose_colour(ctx: click.Context, _: click.Parameter, choice: str | None) -> str | None:
    """What `--color` says. Without it there is none with NO_COLOR and on dumb terminals (no-color.org)."""
    if choice in ("always", "never"):
        ctx.color = choice == "always"
    elif ctx.parent is None and (os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"):
        ctx.color = False
    return choice


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
