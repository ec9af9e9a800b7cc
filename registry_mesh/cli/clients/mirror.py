"""What clients are told about: the site, and the registries it serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

Fallback = Literal["direct", "none"]


@dataclass(frozen=True, slots=True)
class Mirror:
    """A site as its clients see it."""

    url: str
    registries: tuple[str, ...]
    fallback: Fallback = "direct"
    """What a client does when the site does not answer: ask the registry itself, or fail."""
    ca: str | None = None
    """A PEM file on the client's machine: who signed the site's certificate."""
    every: bool = False
    """Also for registries that are not named, if the client can say so."""

    @property
    def address(self) -> str:
        """HOST or HOST:PORT."""
        return urlsplit(self.url).netloc

    @property
    def plain(self) -> bool:
        """Not encrypted."""
        return urlsplit(self.url).scheme == "http"
