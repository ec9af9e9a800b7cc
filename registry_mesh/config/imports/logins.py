"""Logins inside addresses of another tool's file, `https://USER:PASSWORD@HOST`: taken out before anything is read.

What an importer writes is committed and shown; no sentence, name or rule may repeat a password. `TAG@sha256:...` is
none.
"""

from __future__ import annotations

import re
from typing import Final

_HOST: Final = r"(?=[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|localhost\b|[A-Za-z0-9-]+:\d|\[[0-9a-f:]+\])"
_LOGIN: Final = re.compile(
    r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]{0,20}:\\?/\\?/)[^\s/\"'<>]{1,2000}@(?!sha(?:256|512):)"
    r"|(?<![\w.@:/%+~$=*!?^#&-])[\w.%+~$-]{1,200}:[^\s/\"'<>\[\]{}(),;|]{1,2000}@(?!sha(?:256|512):)" + _HOST
)

NOT_CARRIED: Final = "a login in an address is not carried: logins stand in registries.HOST.credentials"


def without_logins(text: str) -> tuple[str, tuple[int, ...]]:
    """Return the text without the logins in its addresses, and the lines that had one."""
    lines: list[int] = []

    def bare(found: re.Match[str]) -> str:
        lines.append(text.count("\n", 0, found.start()) + 1)
        return found["scheme"] or ""

    return _LOGIN.sub(bare, text), tuple(dict.fromkeys(lines))
