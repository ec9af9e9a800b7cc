"""Callers that showed a certificate of their own: what stands in the place of an `Authorization` field for them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

SUBJECT: Final = "node:"
"""Stands before the name of the certificate in policies and logs."""
_MARK: Final = "\0certificate "
"""No field can hold the first character: nobody can claim to have shown one (RFC 9110, 5.5)."""
_NAME: Final = re.compile(r"[!-~]{1,200}")


def stated(name: str) -> str:
    """What states that a certificate of that name was shown; empty for a name that cannot be one."""
    return _MARK + name if _NAME.fullmatch(name) else ""


def name_of(authorization: str) -> str | None:
    """The name of the certificate; None where none was shown."""
    return authorization.removeprefix(_MARK) if authorization.startswith(_MARK) else None


def name_in(shown: Mapping[str, Any] | None) -> str:  # Any: as the ssl module has it
    """The first DNS name, else the first URI, else the common name of a certificate as `SSLObject.getpeercert` gives
    it; empty where none was shown."""
    if not shown:
        return ""
    names = dict[str, str]()
    for kind, name in shown.get("subjectAltName", ()):
        names.setdefault(kind, name)
    for field in shown.get("subject", ()):
        for kind, name in field:
            names.setdefault(kind, name)
    return next((names[kind] for kind in ("DNS", "URI", "commonName") if names.get(kind)), "")
