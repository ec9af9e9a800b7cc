"""Braces as an abbreviation: `a/{b,c}` is `a/b` and `a/c`, nested too, and means exactly what these would."""

from __future__ import annotations

from typing import Final

LIMIT: Final = 1_000
"""Texts that one pattern may stand for."""
_MAX_NESTING: Final = 16


def expanded(text: str) -> list[str]:
    """All texts that `text` stands for, in the order of its options; `ValueError` where braces do not fit or are too
    many. What stands in `[ ]` is no brace."""
    found, at = _sequence(text, 0, 0)
    if at < len(text):
        raise ValueError(f"{text[at]!r} at {at + 1} closes nothing")
    return list(dict.fromkeys(found))


def _sequence(text: str, at: int, depth: int) -> tuple[list[str], int]:
    """The texts up to the end, or up to the `,` or `}` of the braces around, and where that is."""
    if depth > _MAX_NESTING:
        raise ValueError(f"braces nested deeper than {_MAX_NESTING}")
    found = [""]
    while at < len(text) and not (text[at] == "}" or (depth and text[at] == ",")):
        if text[at] == "{":
            options, at = _options(text, at, depth)
        else:
            end = text.find("]", at) + 1 if text[at] == "[" else at + 1
            options, at = [text[at : end or len(text)]], end or len(text)
        if len(found) * len(options) > LIMIT:
            raise ValueError(f"its braces stand for more than {LIMIT:,} patterns")
        found = [one + other for one in found for other in options]
    return found, at


def _options(text: str, at: int, depth: int) -> tuple[list[str], int]:
    opened, options = at, list[str]()
    while True:
        some, at = _sequence(text, at + 1, depth + 1)
        options += some
        if at >= len(text):
            raise ValueError(f"the {{ at {opened + 1} is not closed")
        if text[at] == "}":
            return options, at + 1
