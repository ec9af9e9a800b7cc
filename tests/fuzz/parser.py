"""One parser of what somebody else wrote: what it may raise, and texts to begin from."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from registry_mesh.oci.digest import Digest

DIGEST: Final = Digest.of(b"x")


@dataclass(frozen=True, slots=True)
class Parser:
    """One parser. `begin`: texts that it takes, or nearly."""

    name: str
    parse: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...] = ()
    begin: Sequence[bytes] = ()
    examples: int = 150
    """How many texts a test makes."""

    def run(self, data: bytes) -> None:
        """Raise what the parser must not raise."""
        try:
            self.parse(data)
        except self.refusals:
            return


def text(parse: Callable[[str], object]) -> Callable[[bytes], object]:
    """For parsers of texts of files, which hold any characters."""
    return lambda data: parse(data.decode("utf-8", "replace"))


def field(parse: Callable[[str], object]) -> Callable[[bytes], object]:
    """For parsers of header fields and paths, as the HTTP library hands them on."""
    return lambda data: parse(data.decode("utf-8", "surrogateescape"))


def json_of(value: object) -> bytes:
    return json.dumps(value).encode()
