"""The name in a client's certificate, which TLS has verified."""

from __future__ import annotations

import asyncio


def certified_name(transport: asyncio.BaseTransport) -> str:
    """The first DNS name, else the first URI, else the common name; empty where no certificate was shown."""
    shown = transport.get_extra_info("peercert")
    if not shown:
        return ""
    names = dict[str, str]()
    for kind, name in shown.get("subjectAltName", ()):
        names.setdefault(kind, name)
    for field in shown.get("subject", ()):
        for kind, name in field:
            names.setdefault(kind, name)
    return next((names[kind] for kind in ("DNS", "URI", "commonName") if names.get(kind)), "")
