"""What people write that is no YAML, and how each is mended."""

from __future__ import annotations

import re
from typing import Final

from registry_mesh.config.finding import Mark

_SPECIAL_START: Final = re.compile(r"(?:^|[\[,{:-])\s*([*&!@`%][^\s,\]}]*)")
"""A value whose first letter means something else to YAML: `*`, `!x`, `@set`, `%`."""
_CONFLICT: Final = re.compile(r"^(?:<{7}|={7}|>{7}|\|{7})(?:\s|$)", re.MULTILINE)
_INNER_COLON: Final = re.compile(r"[\w-]+:\s+((?:semver[~+]?|re):\s[^,}\]#]+)")
"""A pattern with a colon in it, which makes a mapping of it."""
_BRACES: Final = re.compile(r"[:,\[]\s*([^\s\"',:{}\[\]]*\{[^{}:]*\}[^\s,}\]]*)")
"""Braces of a pattern or a template, which begin a mapping."""
_NO_BREAK: Final = "\u00a0"
_LOOKED_AT: Final = 1000
"""Characters of a line: a slip is where people write, and a line of megabytes is by nobody."""


def how_to_mend(text: str | bytes, place: Mark) -> str:
    """What to do about a text that is no YAML at `place`; empty where nothing is known."""
    whole = text if isinstance(text, str) else text.decode(errors="replace")
    if (mark := _CONFLICT.search(whole)) is not None:
        number = whole.count("\n", 0, mark.start()) + 1
        return f"a merge left its conflict there, line {number}: keep one side, and take out the marks"
    lines = [each[:_LOOKED_AT] for each in whole.splitlines()]
    around = lines[max(0, place.line - 2) : place.line]
    if any(_NO_BREAK in line for line in around):
        return "a no-break space stands there, as word processors make them: write a space"
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    if "${" in line:
        return "variables are not filled in; write the value"
    if line[: place.column].strip(" ").startswith("\t"):
        return "a tab stands there; indent with spaces"
    for slip in (_SPECIAL_START, _INNER_COLON, _BRACES):
        if (found := slip.search(line)) is not None:
            return f'put it in quotes: "{found[1].strip()}"'
    return ""
