"""The name in a client's certificate, which TLS has verified."""

from __future__ import annotations

import asyncio

from registry_mesh.auth.certified import name_in


def certified_name(transport: asyncio.BaseTransport) -> str:
    """See `auth.certified.name_in`; empty where no certificate was shown."""
    return name_in(transport.get_extra_info("peercert"))
