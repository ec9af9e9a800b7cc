"""The page about fills: the theory of `content.fill.phases`, its two tables, and a picture of each.

python -m registry_mesh.content.fill.picture docs/fill.md
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from registry_mesh.content.fill import phases
from registry_mesh.content.fill.phases import MapPhase, Phase


def page() -> str:
    """The page, in Markdown."""
    title, _, theory = (phases.__doc__ or "").partition("\n")
    parts = [
        f"# {title.removesuffix('.')}",
        "Written by `make docs` from `registry_mesh/content/fill/phases.py`.",
        theory.strip(),
        "## The phases of a fill",
        _table(
            (
                "phase",
                "what it means",
                "a reader may join",
                "transfers begin",
                "what leaves",
                "what may come next",
            ),
            [
                (p.name, p.meaning, _word(p.joined), _word(p.fetches), p.leaves.value, ", ".join(p.then))
                for p in Phase
            ],
        ),
        _picture({p.name: p.then for p in Phase}),
        "## The phases of its chunk map",
        _table(
            (
                "phase",
                "what it means",
                "a chunk leaves when it is",
                "a chunk that comes is",
                "what may come next",
            ),
            [(p.name, p.meaning, p.need.name, p.coming, ", ".join(p.then)) for p in MapPhase],
        ),
        _picture({p.name: p.then for p in MapPhase}),
    ]
    return "\n\n".join(parts) + "\n"


def _word(yes: bool) -> str:
    return "yes" if yes else "no"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _picture(machine: dict[str, Sequence[str]]) -> str:
    first = next(iter(machine))
    arrows = [f"    {phase} --> {other}" for phase, then in machine.items() for other in then]
    ends = [f"    {phase} --> [*]" for phase, then in machine.items() if not then]
    return "\n".join(["```mermaid", "stateDiagram-v2", f"    [*] --> {first}", *arrows, *ends, "```"])


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page())
