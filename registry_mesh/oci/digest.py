"""Content digests (OCI image-spec, descriptor.md, "Digests")."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from registry_mesh.oci.refusals import DigestInvalid


class Hasher(Protocol):
    """What `hashlib` objects offer."""

    def update(self, data: bytes | bytearray | memoryview, /) -> object:
        """Take in more bytes."""
        ...

    def digest(self) -> bytes:
        """The sum of all bytes so far."""
        ...

    def hexdigest(self) -> str:
        """The sum of all bytes so far, in lower-case hexadecimal."""
        ...


_HASHERS: Final[dict[str, tuple[Callable[[], Hasher], int]]] = {
    "sha256": (hashlib.sha256, 64),
    "sha512": (hashlib.sha512, 128),
}
_OF_NOTHING: Final = frozenset(hasher().hexdigest() for hasher, _ in _HASHERS.values())
_HEX: Final = re.compile(r"[0-9a-f]+")

ALGORITHMS: Final = tuple(_HASHERS)


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """`algorithm:hex`, e.g. `sha256:9f86…`. Only registered algorithms, only lower-case hex."""

    algorithm: str
    hex: str

    def __eq__(self, other: object) -> bool:
        if type(other) is not Digest:
            return NotImplemented
        return self.hex == other.hex and self.algorithm == other.algorithm

    def __hash__(self) -> int:
        """By the string's own hash, which Python keeps: a request looks a digest up some ten times."""
        return hash(self.hex)

    @classmethod
    def parse(cls, text: str) -> Digest:
        """The digest that `text` spells; `DigestInvalid` where it spells none that we can check."""
        algorithm, colon, encoded = text.partition(":")
        if not colon:
            raise DigestInvalid("a digest is ALGORITHM:HEX", given=text[:200])
        known = _HASHERS.get(algorithm)
        if known is None:
            raise DigestInvalid(
                f"unsupported algorithm; supported: {', '.join(ALGORITHMS)}", given=text[:200]
            )
        if len(encoded) != known[1] or not _HEX.fullmatch(encoded):
            raise DigestInvalid(f"{algorithm} takes {known[1]} lower-case hex digits", given=text[:200])
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, data: bytes | bytearray | memoryview, algorithm: str = "sha256") -> Digest:
        """The digest of `data`."""
        hasher = new_hasher(algorithm)
        hasher.update(data)
        return cls(algorithm, hasher.hexdigest())

    def hasher(self) -> Hasher:
        """A fresh hasher of this digest's algorithm."""
        return _HASHERS[self.algorithm][0]()

    @property
    def is_of_nothing(self) -> bool:
        """Whether it is the digest of no bytes."""
        return self.hex in _OF_NOTHING

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


def new_hasher(algorithm: str) -> Hasher:
    """A fresh hasher; `DigestInvalid` for an algorithm we do not support."""
    known = _HASHERS.get(algorithm)
    if known is None:
        raise DigestInvalid(
            f"unsupported algorithm; supported: {', '.join(ALGORITHMS)}", given=algorithm[:200]
        )
    return known[0]()
