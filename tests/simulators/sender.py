"""A parent as answers know it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Parent:
    """Implements `upstream.sender.Sender`. `stall` and `drip` in seconds."""

    stall: float = 60.0
    drip: float = 60.0
    name: str = "p"
    near: str = ""
    received: int = 0
    inflight: int = 1

    def heard(self, size: int, registry: str = "") -> None:
        self.received += size
