"""docs/findings.md, which is shipped with the program: what each finding means, and what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import registry_mesh

_SHIPPED: Final = Path(registry_mesh.__file__).with_name("findings.md")
"""In a package that was built; in a tree of sources it is where it is written."""
_WRITTEN: Final = _SHIPPED.parents[1] / "docs" / "findings.md"

_ROW: Final = re.compile(r'^\| `([a-z-]+)` \| [■▲] \| <a id="\1"></a>(.*) \| (.*) \|$', re.MULTILINE)
_ALONE: Final = re.compile(r'^<a id="([a-z-]+)"></a>`\1`:? (.*?)(?:\n\n|\Z)', re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\[([^]]+)\]\([^)]+\)")


@dataclass(frozen=True, slots=True)
class Entry:
    """What the page says of a finding, as plain text: when it is so, and the next step. One that is an alert alone has
    both in `when`."""

    when: str
    next: str = ""


def entries() -> dict[str, Entry]:
    """What the page says, by name, in its order; alerts that are no findings come last. OSError."""
    page = (_SHIPPED if _SHIPPED.exists() else _WRITTEN).read_text("utf-8")
    rows = {name: Entry(_plain(when), _plain(after)) for name, when, after in _ROW.findall(page)}
    return rows | {name: Entry(_plain(text)) for name, text in _ALONE.findall(page)}


def _plain(text: str) -> str:
    return _LINK.sub(r"\1", text.replace("\n", " ")).replace("`", "")
